package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/go-logr/logr"

	"gitlab.gf.com.cn/clickeggs/drover/internal/evidence"
	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// Dial opens the connections to every peer; nil means the network.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Daemon is a controller with its clients and its journal, made from a
// configuration. `run`, `demo` and the fault table's tests are the same daemon.
type Daemon struct {
	Clients *Clients
	Journal *journal.Journal
	Control *Controller
	// Starts tells whether this Drover keeps dying; whoever runs it waits, and ends
	// it.
	Starts *Starts
	// evidence is nil when it cannot be kept.
	evidence *evidence.Store
}

// NewDaemon puts the parts together and reads the journal. It talks to nobody
// yet; further runners are started and awaited with the others.
func NewDaemon(config *desired.Config, stateDir string, log logr.Logger, dial Dial, more ...Runner) (*Daemon, error) {
	id, err := Identify(config, stateDir)
	if err != nil {
		return nil, err
	}
	clients, err := ConnectOver(config, log, dial)
	if err != nil {
		return nil, err
	}
	j, err := journal.Open(stateDir, journal.Options{First: id.IsNew})
	if err != nil {
		return nil, err
	}
	histories, err := Histories(j.Replay)
	if err != nil {
		return nil, errors.Join(err, j.Close())
	}
	kept := openEvidence(stateDir, log)
	core := NewCore(Parts{
		Observer: clients.Observer(), Rancher: clients.Rancher, Journal: j, Tailer: clients.Logs, Evidence: kept,
		Past: pastReader(stateDir), Self: id.Owner, Log: log, Now: time.Now,
	}, config, histories)
	if err := clients.Configure(core.followed(config)); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	core.BeConservative(ConservativeUntil(j.Recovery()))
	starts, err := CountStart(stateDir, time.Now())
	if err != nil {
		log.Error(err, "cannot tell whether this Drover keeps dying")
	}
	core.ObserveOnly(starts.ObserveUntil())
	d := &Daemon{Clients: clients, Journal: j, Starts: starts, evidence: kept}
	d.Control = New(core, d.compact, append(clients.Runners(), more...)...)
	clients.Informer.SetOwn(ownContainer())
	clients.Wake(d.Control)
	return d, nil
}

// Configure puts a configuration in force. Targets that left it with a rollout open
// are still followed.
func (d *Daemon) Configure(config *desired.Config) error {
	before := d.Control.Keys()
	d.Control.Configure(config)
	err := d.Clients.Configure(d.Control.followed(config))
	after := d.Control.Keys()
	d.Clients.Forget(slices.DeleteFunc(before, func(key string) bool { return slices.Contains(after, key) })...)
	return err
}

// followed adds to a configuration the targets that left it with a rollout open:
// they are still watched, and a failing version is still taken back.
func (c *Core) followed(config *desired.Config) *desired.Config {
	all := *config
	all.Targets = slices.Clip(config.Targets) // So that appending copies.
	for _, key := range c.Keys() {
		if _, isListed := config.Target(key); isListed {
			continue
		}
		if open := c.History(key).Rollout; open != nil && open.Policy.Service != "" {
			all.Targets = append(all.Targets, open.Policy)
		}
	}
	return &all
}

// EvidenceDir is where the evidence of rollouts is, in a state directory.
func EvidenceDir(stateDir string) string { return filepath.Join(stateDir, "evidence") }

// openEvidence opens the evidence of rollouts; without it everything else goes on.
func openEvidence(stateDir string, log logr.Logger) *evidence.Store {
	s, err := evidence.Open(EvidenceDir(stateDir), buildName(), evidence.Limits{})
	if err != nil {
		log.Error(err, "cannot keep evidence; rollouts go on without it")
		return nil
	}
	return s
}

// buildName is what this program was built from, as Go noted it.
func buildName() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(len(s.Value), 12)]
		}
	}
	return info.Main.Version
}

// pastReader reads the whole journal of a state directory, rotated files included.
func pastReader(stateDir string) func(func(journal.Entry) error) error {
	return func(each func(journal.Entry) error) error {
		r, err := journal.OpenReadOnly(stateDir)
		if err != nil {
			return err
		}
		return r.History(each)
	}
}

// compact makes the journal smaller when it has grown.
func (d *Daemon) compact() error {
	if !d.Journal.ShouldRotate() {
		return nil
	}
	if err := d.Journal.Compact(Summarize); err != nil {
		return fmt.Errorf("compacting the journal: %w", err)
	}
	return nil
}

// Close ends what does not end with the controller's run.
func (d *Daemon) Close() error {
	d.Clients.Rancher.Close()
	if d.evidence != nil {
		return errors.Join(d.Journal.Close(), d.evidence.Close())
	}
	return d.Journal.Close()
}
