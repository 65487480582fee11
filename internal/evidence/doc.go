// Package evidence keeps what a rollout was judged by: one file per rollout, which
// can be read with less and jq, handed to a colleague, and replayed.
//
// A file is JSON lines. It begins with the rollout; each start of the process adds
// a segment, the history and the gates' memory that it went on from; then every
// look adds a line: what was seen (only what changed since the line before), the
// decision when it changed, and the facts written down. Containers that died add
// their last lines, because Rancher purges them; the end adds the outcome. What a
// look was decided from is complete, so that Replay comes to the same decisions.
//
// A file is bounded and so are all of them together. It holds no secrets: launch
// configurations are left out, known secrets and what looks like one are masked.
// Nothing waits for it: a disk that is full costs evidence, never a rollback.
package evidence
