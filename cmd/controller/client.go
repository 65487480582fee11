package main

import (
	"errors"
	"fmt"

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

// whereDaemon is where the daemon was looked for, for people.
func (o *options) whereDaemon() string {
	if o.server == "" {
		return "on state directory " + o.stateDir
	}
	return "at " + o.server
}

// explainAway says where nobody answered.
func (o *options) explainAway(err error) error {
	if errors.Is(err, web.ErrNoDaemon) {
		return fmt.Errorf("%w %s", err, o.whereDaemon())
	}
	return err
}

// isDaemonAway says that no daemon runs on the state directory, so that the
// journal may be read instead. A daemon elsewhere leaves nothing to read here.
func (o *options) isDaemonAway(err error) bool {
	return o.server == "" && errors.Is(err, web.ErrNoDaemon)
}
