package conformance

import (
	"time"
)

// pace is when the last thing happened that a service answers to: a change or a report.
type pace struct {
	recorded float64   // Seconds since the recording began.
	ours     time.Time // By our clock.
	before   float64   // When the recorded service was last seen to show something else.
	shown    instant   // What it showed last.
}

// Recorded times are those of looks, some seconds apart, at a busy server on another machine. It is the long ones that
// matter: 46 s until a stalled upgrade says so, some 15 s between two attempts.
const (
	paceFactor = 1.5
	delay      = 2500 * time.Millisecond // By which ours may be later …
	hurry      = 8 * time.Second         // … and earlier: a repair that took 6.5 s on one server took 0.2 s on the other.
)

// mark notes that something happened; without a service's id it concerns all.
func (r *runner) mark(l line, recorded string) {
	for id := range r.watched {
		if recorded == "" || id == recorded {
			r.paces[id] = &pace{recorded: l.T, ours: time.Now(), before: l.T}
		}
	}
}

// checkPace wants our service to have begun to show something at about the time that the recorded one did: between the
// look before and this one.
func (r *runner) checkPace(l line, service string, want instant, since time.Time) {
	p := r.paces[service]
	if p == nil || p.shown == want {
		if p != nil {
			p.before = l.T
		}
		return
	}
	took := since.Sub(p.ours)
	earliest := scale((p.before-p.recorded)/paceFactor) - hurry
	latest := scale((l.T-p.recorded)*paceFactor) + delay
	if took > latest || took < earliest && took > 0 {
		r.errorf("%s: our service was %v after %v, want between %v and %v", l.where(), want, took, earliest, latest)
	}
	p.shown, p.before = want, l.T
}

func scale(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
