// Package web is the daemon's HTTP API on a unix socket and, when configured, over
// TCP, and its client.
//
//	GET  /healthz                                   does the loop look, can the journal be written
//	GET  /v1/targets                                every target
//	GET  /v1/targets/{stack}/{service}              one target
//	GET  /v1/targets/{stack}/{service}/look         the same with what the last look saw
//	GET  /v1/targets/{stack}/{service}/way-back     what it can be taken back to after a finish
//	POST /v1/targets/{stack}/{service}/commands     a person's decision: controller.Command
//	GET  /v1/events                                 reports as they are made: server-sent events
//	POST /v1/notifications/registry                 docker/distribution's notification envelope
//
// Who may open the socket may command the daemon: it has mode 0600 and lies in
// the state directory. Over TCP every request but /healthz must bring the token
// of api.token, because the network has no such owner. Answers and errors are JSON. A View never holds a launch
// configuration, because people put passwords into its environment.
package web
