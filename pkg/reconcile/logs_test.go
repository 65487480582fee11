package reconcile

import (
	"strings"
	"testing"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// logged is a paper world in the bake whose logs read as given.
func logged(t *testing.T, novelty desired.Novelty, logs func(newContainer string) observe.Logs) *paper {
	t.Helper()
	p := newPaper()
	for i := range p.containers {
		p.containers[i].ImageID = ""
	}
	p.target.Gates.Logs = &desired.LogsGate{Fail: []string{"^panic: "}, Novelty: novelty}
	p.readLogs = func() observe.Logs { return observe.Logs{Lines: 100} }
	p.until(t, inBake)
	id := ""
	for i := range p.containers {
		if p.containers[i].Version == p.launch.Version {
			id = p.containers[i].ID
		}
	}
	p.readLogs = func() observe.Logs { return logs(id) }
	return p
}

func TestLinesThatFailTakeAVersionBack(t *testing.T) {
	match := func(id string) observe.Logs {
		return observe.Logs{Lines: 7, Matches: []observe.LogMatch{{Pattern: "^panic: ", Container: id, Count: 2, Example: "panic: nil map"}}}
	}
	p := logged(t, desired.NoveltyReport, match)
	d := p.until(t, ended)
	if f := finding(t, d, "logs"); d.Action != Rollback || f.Code != CodePatternSeen || !strings.Contains(d.Reason, "panic: nil map") {
		t.Errorf("%s: %s", d.Action, d.Reason)
	}
	// A line of the old version fails nobody.
	p = logged(t, desired.NoveltyReport, func(string) observe.Logs { return match("1i1") })
	if d := p.until(t, ended); d.Action != FinishUpgrade {
		t.Errorf("a line of the old version: %s: %s", d.Action, d.Reason)
	}
}

func TestNovelErrorsAreToldAndHoldWhenAsked(t *testing.T) {
	novel := func(id string) observe.Logs {
		return observe.Logs{Lines: 500, NovelKinds: 2, NovelLines: 14, OldLines: 900, Novel: []observe.LogTemplate{
			{Template: "ERROR cannot reach #", Container: id, Count: 13, Example: "ERROR cannot reach 10.42.0.7"},
			{Template: "ERROR x", Container: id, Count: 1, Example: "ERROR x"},
		}}
	}
	const text = "2 kinds of errors that the old version does not write, 14 lines, such as: ERROR cannot reach 10.42.0.7"
	p := logged(t, desired.NoveltyReport, novel)
	d := p.until(t, ended)
	f := finding(t, d, "logs")
	if d.Action != FinishUpgrade || f.Verdict != Pass || f.Code != CodeNovelErrors || !strings.HasSuffix(f.Text(), text) {
		t.Errorf("report: %s, %s %s", d.Action, f.Verdict, f.Text())
	}
	p = logged(t, desired.NoveltyHold, novel)
	d = p.until(t, overdue)
	f = finding(t, d, "logs")
	if d.Action != NoAction || f.Verdict != Hold || f.Code != CodeNovelErrors || !strings.HasSuffix(d.Reason, text) {
		t.Errorf("hold: %s, %s: %s", d.Action, f.Verdict, d.Reason)
	}
}

// What the old version writes is not known: with hold that is no data, with report
// it is told and changes nothing.
func TestOldLogsThatCannotBeRead(t *testing.T) {
	unread := func(string) observe.Logs {
		return observe.Logs{Lines: 5, OldProblem: &observe.Problem{Cause: observe.CauseAuth, Message: "denied"}}
	}
	p := logged(t, desired.NoveltyReport, unread)
	d := p.until(t, ended)
	if f := finding(t, d, "logs"); d.Action != FinishUpgrade || !strings.Contains(f.Text(), "errors are not compared: denied") {
		t.Errorf("report: %s, %s", d.Action, f.Text())
	}
	p = logged(t, desired.NoveltyHold, unread)
	p.run(8e9, func(Decision) {})
	if f := finding(t, p.last, "logs"); f.Verdict != NoData || f.Covered || f.Code != CodeOldLogsUnread {
		t.Errorf("hold: %s %s", f.Verdict, f.Text())
	}
}

// Streams that cannot be followed are no data, and a bake begins again.
func TestLogsThatCannotBeReadAreNoData(t *testing.T) {
	p := logged(t, desired.NoveltyReport, func(string) observe.Logs {
		return observe.Logs{Problem: &observe.Problem{Cause: observe.CauseUnreachable, Message: "401"}}
	})
	p.run(8e9, func(Decision) {})
	if f := finding(t, p.last, "logs"); f.Verdict != NoData || f.Covered || !p.memory.bakeStart.IsZero() {
		t.Errorf("%s %s, bake since %v", f.Verdict, f.Text(), p.memory.bakeStart)
	}
}
