package main

import (
	"errors"

	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// tokenVariable is where the token is taken from without --token-file. It is no
// flag: a command line is shown to everyone on the machine.
const tokenVariable = "DROVER_TOKEN"

// client asks the daemon that the flags name.
func (o *options) client() *web.Client {
	if o.server == "" {
		return web.NewClient(o.stateDir)
	}
	token := desired.Secret{Env: tokenVariable}
	if o.tokenFile != "" {
		token = desired.Secret{File: o.tokenFile}
	}
	return web.NewRemoteClient(o.server, token.Value)
}

// noDaemon says where nobody answered.
func (o *options) noDaemon() string {
	if o.server == "" {
		return o.language.Sprintf("no daemon is running on state directory %s", o.stateDir)
	}
	return o.language.Sprintf("no daemon is running at %s", o.server)
}

// noDaemonError is web.ErrNoDaemon with where that is.
type noDaemonError struct{ where string }

// Error says where nobody answered.
func (e *noDaemonError) Error() string { return e.where }

// Unwrap is web.ErrNoDaemon.
func (e *noDaemonError) Unwrap() error { return web.ErrNoDaemon }

// explainAway says where nobody answered.
func (o *options) explainAway(err error) error {
	if errors.Is(err, web.ErrNoDaemon) {
		return &noDaemonError{o.noDaemon()}
	}
	return err
}

// isDaemonAway says that no daemon runs on the state directory, so that the
// journal may be read instead. A daemon elsewhere leaves nothing to read here.
func (o *options) isDaemonAway(err error) bool {
	return o.server == "" && errors.Is(err, web.ErrNoDaemon)
}
