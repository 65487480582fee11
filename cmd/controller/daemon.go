package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// daemon is a controller with its clients and its journal, made from a
// configuration. `run` and `demo` are the same daemon.
type daemon struct {
	clients *controller.Clients
	journal *journal.Journal
	control *controller.Controller
}

// newDaemon puts the parts together and reads the journal. It talks to nobody
// yet; further runners are started and awaited with the others.
func newDaemon(config *desired.Config, stateDir string, log logr.Logger, more ...controller.Runner) (*daemon, error) {
	id, err := controller.Identify(config, stateDir)
	if err != nil {
		return nil, err
	}
	clients, err := controller.Connect(config, log)
	if err != nil {
		return nil, err
	}
	j, err := journal.Open(stateDir, journal.Options{First: id.IsNew})
	if err != nil {
		return nil, err
	}
	histories, err := controller.Histories(j.Replay)
	if err != nil {
		return nil, errors.Join(err, j.Close())
	}
	core := controller.NewCore(controller.Parts{
		Observer: clients.Observer(), Rancher: clients.Rancher, Journal: j, Tailer: clients.Logs,
		Past: pastReader(stateDir), Self: id.Owner, Log: log, Now: time.Now,
	}, config, histories)
	core.BeConservative(controller.ConservativeUntil(j.Recovery()))
	d := &daemon{clients: clients, journal: j}
	d.control = controller.New(core, d.compact, append(clients.Runners(), more...)...)
	clients.Wake(d.control)
	return d, nil
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
func (d *daemon) compact() error {
	if !d.journal.ShouldRotate() {
		return nil
	}
	if err := d.journal.Compact(controller.Summarize); err != nil {
		return fmt.Errorf("compacting the journal: %w", err)
	}
	return nil
}

// close ends what does not end with the controller's run.
func (d *daemon) close() error {
	d.clients.Rancher.Close()
	return d.journal.Close()
}
