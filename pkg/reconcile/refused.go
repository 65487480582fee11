package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// refused is what no waiting changes: quarantine, a tag that moved back, a person.
func (l *look) refused(to Baseline) (step, bool) {
	if d, stop := l.refusedPart("", to.Part, l.in.History.Baseline.Part); stop {
		return d, true
	}
	for _, name := range slices.Sorted(maps.Keys(to.Sidekicks)) {
		if d, stop := l.refusedPart(name, to.Sidekicks[name], l.in.History.Baseline.Sidekicks[name]); stop {
			return d, true
		}
	}
	h := &l.in.History
	isReleased := l.isAnyReleased(to)
	switch {
	case h.Attempts >= attemptLimit && l.isLastAttempt(to):
		d := l.say(Held, CodeGaveUp, reminder, "the upgrade to %s did not come about: %s; `drover retry` tries again", to.news(h.Baseline), h.Last.Reason)
		d.Alert = true
		return d, true
	case l.in.Target.Hold != "":
		return l.say(Held, CodeHoldFile, again, "hold in targets.yaml: %s", l.in.Target.Hold), true
	case l.isPaused():
		return l.say(Held, CodePaused, again, "paused"), true
	case l.in.Now.Before(h.NotBefore) && h.Last != nil && h.Last.Code == CodeNotAllowed && h.Last.Outcome == NotApplied:
		d := l.say(Preflight, CodeNotAllowed, h.NotBefore.Sub(l.in.Now), "Rancher does not let this key upgrade: %s; asked again at %s", h.Last.Reason, h.NotBefore.UTC().Format(time.RFC3339))
		d.Alert = true
		return d, true
	case !isReleased && l.in.Now.Before(h.NotBefore):
		return l.say(Preflight, CodeBackoff, h.NotBefore.Sub(l.in.Now), "the last rollout did not stay, so the next waits until %s", h.NotBefore.UTC().Format(time.RFC3339)), true
	case h.RollbacksSince(l.in.Now.Add(-rollbackWindow)) >= l.in.Target.Rollout.RollbacksPerDay && !isReleased:
		d := l.say(Held, CodeDailyBudget, again, "%d rollbacks within 24 hours; `drover retry` goes on", len(h.Rollbacks))
		d.Alert = true
		return d, true
	}
	return step{}, false
}

// refusedPart is refused for the primary, or for a sidekick by its name: what
// changes has to be neither condemned nor old, nor by the policy hold what is
// condemned under another digest, or asked for itself.
func (l *look) refusedPart(name string, to, from Part) (step, bool) {
	h := &l.in.History
	changes := to.changes(from)
	if len(changes) == 0 || l.isReleased(to) {
		return step{}, false
	}
	for _, d := range changes {
		if q, is := h.Quarantine[d]; is {
			return l.calm(CodeQuarantined, 0, fmt.Sprintf("%s%s is quarantined: %s; `drover retry` or a newer digest goes on", short(d), ofSidekick(name), q.Reason)), true
		}
	}
	past := h.Past
	if name != "" {
		past = h.PastSidekicks[name]
	}
	if slices.ContainsFunc(past, to.names) {
		d := l.say(Held, CodeRegression, again, "the tag%s moved back to %s, which ran before; `drover retry --digest %s` deploys it", ofSidekick(name), short(to.Digest), to.Digest)
		d.Alert = true
		return d, true
	}
	if bad := l.sameLayers(to, from); bad != "" && l.in.Target.Rollout.OnSameLayers == desired.SameLayersHold {
		d := l.say(Held, CodeSameLayers, again, "%s%s has the same layers as quarantined %s (%s); `drover retry --digest %s` deploys it, another push goes on", short(to.Digest), ofSidekick(name), short(bad), h.Quarantine[bad].Reason, to.Digest)
		d.Alert = true
		return d, true
	}
	return step{}, false
}

// isLastAttempt says that the rollout closed last was to bring the same, or to pin
// what runs before it.
func (l *look) isLastAttempt(to Baseline) bool {
	last := l.in.History.Last
	return last != nil && (len(to.Changes(last.To)) == 0 || last.Kind == Pin && last.Outcome == NotApplied)
}

// isReleased says that a person asked for this part's digest by name.
func (l *look) isReleased(p Part) bool {
	return slices.ContainsFunc(l.in.History.Released, p.names) || p.names(l.retry())
}

// retry is the digest that the file asks to try once more; empty once it was.
func (l *look) retry() string {
	if l.in.Target.Retry == l.in.History.Retried {
		return ""
	}
	return l.in.Target.Retry
}

// isAnyReleased says that a person asked for a digest that a start would change to.
func (l *look) isAnyReleased(to Baseline) bool {
	changes := to.Changes(*l.in.History.Baseline)
	return slices.ContainsFunc(changes, func(d string) bool {
		return d == l.retry() || slices.Contains(l.in.History.Released, d)
	})
}

// news names what a baseline brings that another does not have.
func (b Baseline) news(from *Baseline) string {
	var news []string
	if len(b.changes(from.Part)) > 0 {
		news = append(news, short(b.Digest))
	}
	for _, name := range slices.Sorted(maps.Keys(b.Sidekicks)) {
		if side := b.Sidekicks[name]; len(side.changes(from.Sidekicks[name])) > 0 {
			news = append(news, short(side.Digest)+ofSidekick(name))
		}
	}
	return strings.Join(news, " and ")
}
