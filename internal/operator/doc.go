// Package operator is what a person does to one service by hand, with a daemon or
// without.
//
// A Session is a person at a service. Look gives a Sight: Rancher's view, and the
// daemon's where one looks after the service. MakePlan says from a sight what a
// verb will do, in sentences that are shown before anything is done, and refuses
// what does not fit; it is pure. Do carries the plan out. Follow keeps a Track of
// what comes of it, from sight to sight, until an outcome; it is pure as well, and
// `drover watch`, `drover wait` and the acting commands share it.
//
// Who acts depends on who looks after the service. A rollout that the daemon has
// open is the daemon's: it is told, writes the decision down with who gave it, and
// acts. What the daemon only observes, and every service without one, is acted on
// in Rancher itself, and the plan says so. A finish needs the proof of every
// container either way.
package operator
