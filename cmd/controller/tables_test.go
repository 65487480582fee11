package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
	"unicode"

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// tables are those that are printed in the person's language, of a few rows each.
func tables(t *testing.T) map[string]func(l language.Language, out io.Writer) error {
	t.Helper()
	begun := time.Date(2026, 11, 26, 6, 0, 0, 0, time.UTC)
	yes := true
	views := []web.View{
		{Target: "chat/一个服务", Phase: reconcile.Idle, Running: "sha256:1111222233334444", Reason: "runs what the tag names", Since: begun},
		{Target: "chat/api", Phase: reconcile.AwaitApproval, Alert: true, PausedBy: "mei", Error: "no space left", Reason: "every gate passed", Since: begun},
		{Target: "chat/new"},
	}
	var rollouts []past
	for _, o := range []reconcile.Outcome{reconcile.Finished, reconcile.RolledBack, reconcile.NotApplied, reconcile.TakenOver} {
		rollouts = append(rollouts, past{Target: "chat/api", Seconds: 61, Rollout: web.Rollout{ID: "api-1", Started: begun, Ended: begun.Add(time.Minute), Outcome: o, By: "梅"}})
	}
	rollouts = append(rollouts, past{Target: "chat/a", Rollout: web.Rollout{ID: "a-1", Started: begun}})
	plans := []planned{
		{Target: "chat/api", Phase: reconcile.Starting, Action: reconcile.Upgrade, Reason: "new digest", FirstSight: "first sight"},
		{Target: "chat/b", Phase: reconcile.Blind, Error: "connection refused"},
	}
	containers := web.View{Target: "chat/api", Containers: []web.Container{
		{Name: "一", Host: "1h1", State: "running", Current: true, Image: "app:1", Runs: "sha256:1111222233334444", AsAsked: &yes},
		{Name: "chat-api-log-1", State: "stopped", Sidekick: "log", Image: "log:2"},
	}}
	return map[string]func(language.Language, io.Writer) error{
		"status": func(l language.Language, out io.Writer) error {
			return standing{From: fromDaemon, Targets: views}.print(out, io.Discard, l, begun.Add(time.Hour))
		},
		"history":    func(l language.Language, out io.Writer) error { return printHistory(out, l, rollouts) },
		"plan":       func(l language.Language, out io.Writer) error { return printPlans(out, l, plans, false) },
		"containers": func(l language.Language, out io.Writer) error { return printContainers(out, l, &containers) },
	}
}

// TestTablesLineUp: on a terminal a Chinese character is two columns wide, and every
// cell begins below its heading all the same.
func TestTablesLineUp(t *testing.T) {
	for name, print := range tables(t) {
		for _, l := range []language.Language{language.English, language.Chinese} {
			var out bytes.Buffer
			if err := print(l, &out); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
			if name == "containers" {
				lines = lines[2:] // A blank line and the target's name stand before.
			}
			heading := columns(lines[0])
			for _, line := range lines[1:] {
				if at := columns(line); !isWithin(heading, at) {
					t.Errorf("%s: %q begins its cells in columns %v, the heading in %v:\n%s", name, line, at, heading, out.String())
				}
			}
			if hasHan := strings.ContainsFunc(lines[0], func(r rune) bool { return unicode.Is(unicode.Han, r) }); hasHan != (l == language.Chinese) {
				t.Errorf("%s in language %d has the heading %q", name, l, lines[0])
			}
		}
	}
}

// columns are where a line's cells begin on a terminal: after two blanks.
func columns(line string) []int {
	begins := []int{0}
	for i := 2; i < len(line); i++ {
		if line[i-2:i] == "  " && line[i] != ' ' {
			begins = append(begins, language.Width(line[:i]))
		}
	}
	return begins
}

// isWithin says that a line has the heading's columns; a heading of two words has no
// two blanks in it.
func isWithin(heading, line []int) bool {
	if len(line) != len(heading) {
		return false
	}
	for i := range line {
		if line[i] != heading[i] {
			return false
		}
	}
	return true
}

// TestEveryPhaseIsSaid: in English by its own word, in Chinese with what it means.
func TestEveryPhaseIsSaid(t *testing.T) {
	for _, p := range []reconcile.Phase{
		reconcile.Idle, reconcile.Settle, reconcile.Preflight, reconcile.Starting, reconcile.Upgrading, reconcile.Proving, reconcile.Bake,
		reconcile.AwaitApproval, reconcile.Committing, reconcile.Probation, reconcile.RollingBack, reconcile.Verifying, reconcile.Stuck,
		reconcile.Held, reconcile.Waiting, reconcile.Blind, reconcile.Gone,
	} {
		if got := operator.PhaseIn(language.English, p); got != string(p) {
			t.Errorf("%s is called %q", p, got)
		}
		if got := operator.PhaseIn(language.Chinese, p); !strings.HasPrefix(got, string(p)+"（") {
			t.Errorf("%s is called %q in Chinese, want its word and what it means", p, got)
		}
	}
}
