// Package controller is the loop: it looks, decides, writes down, does, and
// sleeps.
//
// Core.Step is those verbs for one target, in that order, in one function that the
// daemon and the tests call; Core.Look is its first half, which touches nothing,
// for `drover plan`. A decision's events are on disk before its action leaves
// (durable before visible): a process lost between the two, or between action and
// answer, is safe, because the next look at Rancher tells what happened.
//
// Controller owns every goroutine of the daemon: the registry watcher, the
// Rancher informer, the log watcher, the configuration source, and a few workers
// on one queue. A key is never worked on twice at once.
package controller
