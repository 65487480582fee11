// Package simulation says how a past rollout would have ended by an edited
// targets.yaml.
//
// Nothing is judged here: every look of the rollout's evidence is decided again by
// reconcile.Decide, as in a replay, with what the edited file changes. What this
// package knows is where that ends to mean anything:
//
//   - A reading that was not taken cannot be judged. A gate that would have read
//     something else takes no part; what the others fail is failed at the latest
//     then, and what they pass cannot be told.
//   - Once the simulation acts otherwise than was acted, what Rancher showed
//     afterwards is of another course. A rollback that is not decided leaves it
//     undecided; a finish that comes later goes on with the readings of the probation,
//     which are of the same containers, without the old ones beside them.
//   - How fast Rancher replaces containers is its own. It is not simulated.
//
// Each rollout is judged for itself: that one that is not taken back leaves no
// quarantine for the next is not followed. When it would have begun beside the others,
// by the limits of the environment, is told by Waits.
package simulation
