package controller

import (
	"context"
	"time"

	"github.com/go-logr/logr"

	"gitlab.gf.com.cn/clickeggs/drover/internal/evidence"
	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// Rancher is what may be done to a service. *rancher.Client satisfies it.
type Rancher interface {
	PrepareUpgrade(ctx context.Context, spec rancher.UpgradeSpec) (*rancher.Prepared, error)
	Upgrade(ctx context.Context, p *rancher.Prepared) (observe.Service, error)
	FinishUpgrade(ctx context.Context, id, expectVersion string) (observe.Service, error)
	Rollback(ctx context.Context, id string) (observe.Service, error)
	CancelUpgrade(ctx context.Context, id string) (observe.Service, error)
}

// Journal is where decisions are written. *journal.Journal satisfies it.
type Journal interface {
	AppendContext(ctx context.Context, entries ...journal.Entry) error
	Failed() error
	Reopen() error
}

// Tailer reads the last lines of a container, for evidence. *logs.Watcher
// satisfies it.
type Tailer interface {
	Tail(ctx context.Context, containerID string, n int) ([]logs.Line, error)
}

// Parts are what a Core is made of.
type Parts struct {
	Observer *observe.Observer
	Rancher  Rancher
	Journal  Journal
	// Past reads the whole journal, rotated files included: a way back from before
	// the last finish is only there. Nil knows of none.
	Past func(each func(journal.Entry) error) error
	// Tailer may be nil: then no log lines are kept as evidence.
	Tailer Tailer
	// Evidence keeps what rollouts are judged by; nil keeps nothing but what the
	// journal has.
	Evidence *evidence.Store
	// Self is this Drover's stable name.
	Self string
	Log  logr.Logger
	// Now is the clock.
	Now func() time.Time
}

// Report is what one step saw and did, for whoever watches.
type Report struct {
	Target   string             `json:"target"`
	At       time.Time          `json:"at"`
	Decision reconcile.Decision `json:"decision"`
	Observed observe.Snapshot   `json:"observed"`
	// Rollout is the open one, or the one this step closed.
	Rollout *reconcile.Rollout `json:"rollout,omitempty"`
	// Err is what went wrong with writing down or doing.
	Err string `json:"error,omitempty"`
}
