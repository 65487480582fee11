// Package probe measures how the containers of a service do, from two sides: the
// counters of the load balancer in front of them, and requests of its own to each
// container's address.
//
// It measures and never judges: a Reader says "12 requests, 3 failed since the
// last look", a Prober "status 502 after 0.3 s". What that means is decided
// elsewhere.
//
// # HAProxy's statistics
//
// HAProxy shows counters that only grow, per process, from zero at its start.
// Rancher reloads it whenever a container comes or goes, which is what a rollout
// does all the time, so a plain difference between two polls is wrong exactly
// when it matters. A page goes through four steps:
//
//  1. fetch: the bytes, or why there are none (fetch.go).
//  2. parsePage: rows by header name; one bad counter rejects the page (csv.go).
//  3. ledger.enter: the page's difference to the one before is added to sums
//     that never fall, whatever the process behind the page does (ledger.go, continuity.go).
//  4. account.read: what the sums grew by since this caller's last look, with
//     rows tied to containers (account.go).
//
// The sums belong to the load balancer and are shared; a caller keeps only where
// it stood. Nothing grows with time: rows live as long as HAProxy shows them,
// callers until Forget.
package probe
