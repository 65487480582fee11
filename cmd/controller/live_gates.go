package main

import (
	"context"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// checkSight says of each gate that reads by itself whether it would be blind: it
// looks once, as the preflight of a rollout would, at what runs now.
func checkSight(ctx context.Context, clients *controller.Clients, t *desired.Target, s *observe.Service) []check {
	own := *t
	own.Gates.LoadBalancer = nil // It has its own words, with its rows.
	seen := clients.Observer().Gates(ctx, own, observe.Snapshot{Service: *s})
	var checks []check
	for _, sight := range reconcile.SightOf(reconcile.Input{Target: own, Observed: seen, Now: time.Now()}) {
		subject := t.Key() + " gate " + sight.Gate
		switch sight.Code {
		case "":
			checks = append(checks, check{levelOK, subject, "sees what runs now"})
		case reconcile.CodeBaselineBad:
			checks = append(checks, check{levelFail, subject, sight.Reason + ": no rollout would start"})
		default:
			checks = append(checks, check{levelFail, subject, "would be blind: " + sight.Reason})
		}
	}
	if t.Gates.Logs != nil {
		checks = append(checks, checkLogs(ctx, clients, t, s))
	}
	return append(checks, checkCalls(ctx, clients, t)...)
}

// checkLogs reads a line of a container that runs.
func checkLogs(ctx context.Context, clients *controller.Clients, t *desired.Target, s *observe.Service) check {
	subject := t.Key() + " gate logs"
	running := primaries(s)
	if len(running) == 0 {
		return check{levelWarn, subject, "no container runs, so it is not known whether logs can be read"}
	}
	if _, err := clients.Logs.Tail(ctx, running[0].ID, 1); err != nil {
		return check{levelFail, subject, "would be blind: " + err.Error()}
	}
	return check{levelOK, subject, "reads the log of " + running[0].Name}
}

// checkCalls says whether the checks could be called. It calls none: they may do
// something.
func checkCalls(ctx context.Context, clients *controller.Clients, t *desired.Target) []check {
	var checks []check
	for _, name := range t.Gates.Checks {
		subject := t.Key() + " check " + name
		if err := clients.Checks.Ready(ctx, name); err != nil {
			checks = append(checks, check{levelFail, subject, "would be blind: " + err.Error()})
			continue
		}
		checks = append(checks, check{levelOK, subject, "can be called"})
	}
	return checks
}
