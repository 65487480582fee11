// Package reconcile decides what to do next.
//
// Decide takes what should run, what is seen, what is remembered and the time,
// and returns one decision. It does no I/O, reads no clock and draws no random
// number, so every decision can be replayed from the journal and tested by the
// thousand.
//
// Rancher's own service state is the phase; there is no second state machine.
// Each state has one step function in decide.go:
//
//	active ──new digest, settled, preflight passed──▶ Upgrade
//	upgrading ──gate fails, deadline──▶ Rollback
//	upgraded ──every container proved, bake and gates passed──▶ Finish
//	         ──gate fails, deadline──▶ Rollback
//	finishing-upgrade, rolling-back ──wait; late: stuck, a person is called
//	active again ──our label──▶ finished, probation; previous──▶ rolled back, quarantine
//
// Three kinds of memory are kept apart. History is durable: it is folded from the
// journal's events and holds what Rancher forgets. Memory is volatile: what the
// gates have counted and since when the bake has held; its zero value means
// "from zero", which is always safe. Observed is what was seen in this look.
//
// Verdicts are Pass, Fail, Hold and NoData. Only Pass moves a rollout forward,
// only Fail and the deadline take it back, and no evidence is never good
// evidence. A person's change always wins: what Drover did not do, it observes.
package reconcile
