package main

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// shownRancher shows one service, and tells when it was looked at.
type shownRancher struct {
	operator.Rancher
	shows  observe.Service
	onLook func()
}

// Service implements operator.Rancher.
func (r *shownRancher) Service(context.Context, string, string) observe.Service {
	r.onLook()
	return r.shows
}

// outcomes are what may come of a decision instead of what was asked for. What
// comes of it is told by one function for all verbs, so no world is played for it.
var outcomes = []struct {
	why   string
	shows observe.Service
	// isLeft says that the person leaves.
	isLeft bool
	code   int
}{
	{"it goes on and on", observe.Service{State: observe.StateUpgrading, Scale: 2}, false, exitTimeout},
	{"somebody removes the service", observe.Service{State: observe.StateRemoved}, false, exitOtherwise},
	{"Rancher cannot be read", observe.Service{Problem: &observe.Problem{Cause: observe.CauseUnreachable, Message: "connection refused"}}, false, exitUnknown},
	{"Ctrl-C", observe.Service{State: observe.StateUpgrading, Scale: 2}, true, exitInterrupted},
}

// goals are what each verb that waits leads to.
var goals = map[operator.Verb]operator.Goal{
	operator.Upgrade: operator.ToUpgraded, operator.Finish: operator.ToFinished, operator.Rollback: operator.ToRolledBack,
	operator.Cancel: operator.ToCanceled, operator.Approve: operator.ToFinished, operator.Retry: operator.ToFinished,
}

// shownByOutcomes are the endings that the test below goes through.
func shownByOutcomes() map[ending]bool {
	shown := map[ending]bool{}
	for i := range actVerbs {
		for _, o := range outcomes {
			if actVerbs[i].waits {
				shown[ending{string(actVerbs[i].verb), o.code}] = true
			}
		}
	}
	shown[ending{string(operator.Approve), exitOK}] = true
	return shown
}

// TestActEndsWithOneCodeForEachOutcome: what a person decided is waited for, and
// the exit code says what came of it.
func TestActEndsWithOneCodeForEachOutcome(t *testing.T) { synctest.Test(t, testOutcomes) }

func testOutcomes(t *testing.T) {
	for i := range actVerbs {
		v := &actVerbs[i]
		if !v.waits {
			continue
		}
		for _, o := range outcomes {
			ctx, cancel := context.WithCancel(t.Context())
			r := &shownRancher{shows: o.shows, onLook: func() {}}
			if o.isLeft {
				r.onLook = cancel
			}
			code, said := seen(ctx, v.verb, r, 10*time.Second)
			cancel()
			if code != o.code {
				t.Errorf("%s: %s: ends with %d, want %d:\n%s", v.verb, o.why, code, o.code, said)
			}
		}
	}
	// And what was asked for.
	version := func(name string, state observe.ServiceState) observe.Service {
		return observe.Service{
			State: state, Scale: 1, HasHealthCheck: true, Launch: observe.Launch{Version: name, Image: "r.example/a/b@sha256:b"},
			Containers: []observe.Container{{ID: "1i1", Version: name, State: "running", Health: "healthy", Image: "r.example/a/b@sha256:b"}},
		}
	}
	r := &shownRancher{shows: version("v2", observe.StateUpgraded)}
	looks := 0
	r.onLook = func() {
		if looks++; looks == 2 {
			r.shows = version("v2", observe.StateActive)
		}
	}
	if code, said := seen(t.Context(), operator.Approve, r, time.Minute); code != exitOK {
		t.Errorf("approve: finished: ends with %d:\n%s", code, said)
	}
}

// seen waits for what comes of a verb.
func seen(ctx context.Context, verb operator.Verb, r operator.Rancher, timeout time.Duration) (code int, said string) {
	var out bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetContext(ctx)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	a := &act{o: &options{}, timeout: timeout}
	s := &operator.Session{Subject: operator.Subject{Stack: "shop", Service: "api"}, Rancher: r, Now: time.Now}
	err := a.see(cmd, s, operator.Plan{Verb: verb, Goal: goals[verb], Track: operator.Track{Key: "shop/api"}})
	if err != nil {
		out.WriteString(err.Error())
	}
	return codeOf(err, true), out.String()
}
