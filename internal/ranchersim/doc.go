// Package ranchersim is an embedded Rancher 1.6 server: the v2-beta API over HTTP with the state machine behind it.
// The demo, the sandbox and every test that needs a Rancher talk to it as they would talk to the real one.
//
// Where a rule is odd, the comment names the place in Rancher's own source (rancher/cattle v0.183.83) or the
// recording of a running server that shows it.
package ranchersim
