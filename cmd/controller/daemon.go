package main

import (
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
	starts  *controller.Starts
	// configure puts another configuration in force.
	configure func(*desired.Config) error
	// close ends what does not end with the controller's run.
	close func() error
}

// newDaemon puts the parts together; see controller.NewDaemon.
func newDaemon(config *desired.Config, stateDir string, log logr.Logger, more ...controller.Runner) (*daemon, error) {
	d, err := controller.NewDaemon(config, stateDir, log, nil, more...)
	if err != nil {
		return nil, err
	}
	return &daemon{clients: d.Clients, journal: d.Journal, control: d.Control, starts: d.Starts, configure: d.Configure, close: d.Close}, nil
}
