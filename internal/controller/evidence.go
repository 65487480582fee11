package controller

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

const (
	// evidenceLines is how many last lines of each new container are kept;
	// evidenceContainers of how many of them.
	evidenceLines      = 200
	evidenceContainers = 10
	evidenceLineBytes  = 1024
)

// Evidence is what a rollback would remove: Rancher purges the containers of a
// version that was taken back, and their logs with them.
type Evidence struct {
	At      time.Time           `json:"at"`
	Rollout string              `json:"rollout"`
	Reason  string              `json:"reason"`
	Gates   []reconcile.Finding `json:"gates,omitempty"`
	// Containers are those of the new version as last seen, with their last lines.
	Containers []ContainerEvidence `json:"containers,omitempty"`
}

// ContainerEvidence is one container as it was last seen.
type ContainerEvidence struct {
	observe.Container
	Lines []logs.Line `json:"lines,omitempty"`
	// Error says why there are no lines.
	Error string `json:"error,omitempty"`
}

// keepEvidence writes intent and evidence before a rollback, and lets the
// rollback go after two seconds whatever became of them: it must work with the
// journal down (I13, ruling 8).
func (c *Core) keepEvidence(ctx context.Context, key string, seen observe.Snapshot, d *reconcile.Decision) {
	ctx, cancel := context.WithTimeout(ctx, rollbackGrace)
	defer cancel()
	if err := c.note(ctx, key, d.Events); err != nil {
		c.parts.Log.Error(err, "cannot write down a rollback; it goes all the same", "target", key)
	}
	rollout := c.History(key).Rollout
	if rollout == nil || !isFirst(d.Events) {
		return
	}
	e := Evidence{At: c.parts.Now(), Rollout: rollout.ID, Reason: d.Reason, Gates: d.Gates}
	e.Containers = c.tails(ctx, seen.Service)
	data, err := json.Marshal(e)
	if err == nil {
		err = c.appendEntries(ctx, journal.Entry{Target: key, Type: TypeEvidence, Data: data})
	}
	if err != nil {
		c.parts.Log.Error(err, "cannot keep the evidence of a rollback", "target", key, "rollout", rollout.ID)
	}
}

// isFirst says that the rollback was decided just now, not repeated.
func isFirst(events []reconcile.Event) bool {
	for i := range events {
		if events[i].Kind == reconcile.EventRollingBack {
			return true
		}
	}
	return false
}

// tails reads the last lines of the new containers, all at once, in most of the
// time there is.
func (c *Core) tails(ctx context.Context, s observe.Service) []ContainerEvidence {
	ctx, cancel := context.WithTimeout(ctx, rollbackGrace*3/4)
	defer cancel()
	var kept []ContainerEvidence
	for _, container := range s.Containers {
		if container.Version == s.Launch.Version && len(kept) < evidenceContainers {
			kept = append(kept, ContainerEvidence{Container: container})
		}
	}
	if c.parts.Tailer == nil {
		return kept
	}
	var reading sync.WaitGroup
	for i := range kept {
		reading.Go(func() {
			lines, err := c.parts.Tailer.Tail(ctx, kept[i].ID, evidenceLines)
			if err != nil {
				kept[i].Error = err.Error()
			}
			for j := range lines {
				lines[j].Text = clip(lines[j].Text, evidenceLineBytes)
			}
			kept[i].Lines = lines
		})
	}
	reading.Wait()
	return kept
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
