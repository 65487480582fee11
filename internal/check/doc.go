// Package check has something else judge a new version: a webhook, a command, or a
// GitLab pipeline.
//
// A check is called once per rollout. The first call for a run starts it; it is
// worked on in the background, in one goroutine per run, and answered from memory.
// What a check says is told as it is; what follows from it is decided elsewhere.
//
// Once is a promise that a killed process cannot keep alone, so each kind has its
// own way of being called again: a webhook is told the same Idempotency-Key, a
// pipeline is looked for by the rollout's variable before another is triggered, and
// a command, which dies with Drover, is run again.
package check
