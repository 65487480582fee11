package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
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
	if c.parts.Evidence != nil {
		for _, kept := range e.Containers {
			c.tellOnce(c.parts.Evidence.AddContainer(key, e.At, evidenceOf("it is taken back", kept)))
		}
	}
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

// tails reads the last lines of the new containers, the dead ones first.
func (c *Core) tails(ctx context.Context, s observe.Service) []ContainerEvidence {
	var containers []deadContainer
	for _, container := range s.Containers {
		if container.Version == s.Launch.Version {
			containers = append(containers, deadContainer{container, "it is taken back"})
		}
	}
	slices.SortStableFunc(containers, func(a, b deadContainer) int {
		return cmp.Compare(runs(a.State), runs(b.State))
	})
	containers = containers[:min(len(containers), evidenceContainers)]
	if c.parts.Tailer == nil {
		kept := make([]ContainerEvidence, len(containers))
		for i := range containers {
			kept[i].Container = containers[i].Container
		}
		return kept
	}
	return c.readTails(ctx, containers)
}

// runs orders containers that do not run before those that do.
func runs(state string) int {
	if state == "running" {
		return 1
	}
	return 0
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
