package reconcile

import (
	"regexp"
	"strings"
	"time"
)

// Rancher tries what cannot work again and again, and says why in a message that
// repeats its own plumbing and Docker's (rancher-api 3.5: an upgrade never fails).
// A dead end is such a message told in plain words, with what kind of fault it is:
// the version's, which is condemned, or the hosts' and the registry's, which is
// not.

// deadEnd is a message that was recognised.
type deadEnd struct {
	// text is what is wrong, in plain words; empty is no dead end.
	text string
	// isVersions says that the image itself cannot run, wherever it is put.
	isVersions bool
	// since and last are when it was first and last seen.
	since, last time.Time
}

// deadEndPause is how long a dead end may be unseen and still be the same: between
// two tries Rancher shows its next steps (about 15 s, rancher-api 14.3).
const deadEndPause = time.Minute

// dead is one kind of dead end. The first that matches is told.
type dead struct {
	// words are lower-case parts of a message; one of them is enough.
	words []string
	// with must be there too, unless it is empty.
	with string
	// detail is a pattern whose first group is put where text has %s; a text with
	// %s is only told when it matches.
	detail     *regexp.Regexp
	text       string
	isVersions bool
}

// deadEnds are known from Rancher's issues (numbers of rancher/rancher), from the
// recordings, and from Docker's own texts of versions 1.12 to 20.10.
var deadEnds = []dead{
	// #8786, #8636, #9554; the scheduler names [public:private/protocol].
	{words: []string{"meet the resource constraints"}, detail: regexp.MustCompile(`(?i)ports: \[([0-9][^\]]{0,60})`), text: "no host has the port %s free"},
	{words: []string{"meet the resource constraints", "allocation failed"}, detail: regexp.MustCompile(`\[(?:[^\]]*[ ,])?([0-9]+):[0-9]+/(?:tcp|udp) portReservation`), text: "no host has the port %s free"},
	{words: []string{"host needs ports"}, detail: regexp.MustCompile(`host needs ports ([0-9][^\s)]{0,60})`), text: "no host has the port %s free"},
	{words: []string{"needs host with label"}, detail: regexp.MustCompile(`needs host with label:? ?([^)\]]{1,80})`), text: "no host has the label %s that the service asks for"},
	{words: []string{"scheduling failed: have these labels", "must have host", "needs host"}, text: "no host fits the service's scheduling rules"},
	{words: []string{"no healthy hosts", "meet the resource constraints"}, text: "no healthy host has room for it: ports, CPU, memory or labels are short"},
	{words: []string{"scheduling failed", "allocation failed"}, text: "Rancher finds no host for it"},
	// #6054; Docker's portallocator and userland proxy.
	{words: []string{"port is already allocated", "eaddrinuse", "address already in use"}, detail: regexp.MustCompile(`(?:0\.0\.0\.0|[0-9.]+|\[::\]):([0-9]{1,5})\b`), text: "the port %s is taken on its host"},
	{words: []string{"port is already allocated", "eaddrinuse", "address already in use"}, text: "a port it publishes is taken on its host"},
	{words: []string{"no matching manifest"}, text: "the image has nothing for the host's platform", isVersions: true},
	{words: []string{"exec format error"}, text: "the image is for another processor than the host's", isVersions: true},
	{words: []string{"executable file not found", "no such file or directory"}, with: "exec", text: "the command it starts with is not in the image", isVersions: true},
	{words: []string{"permission denied"}, with: "exec", text: "the command it starts with may not be executed", isVersions: true},
	// Recording real-04.
	{words: []string{"manifest unknown", "manifest for ", "image not found", "no such image", "repository does not exist", "name unknown"}, text: "its image cannot be pulled: the registry does not have it"},
	{words: []string{"pull access denied", "unauthorized", "authentication required", "no basic auth credentials", "denied: requested access", "resource is denied"}, text: "its image cannot be pulled: the registry does not let the host in"},
	{words: []string{"toomanyrequests", "too many requests"}, text: "its image cannot be pulled: the registry limits the host's requests"},
	{words: []string{"x509:", "server gave http response to https client"}, text: "its image cannot be pulled: the host does not trust the registry's certificate"},
	{words: []string{"tls handshake timeout", "i/o timeout", "no such host", "connection refused", "client.timeout exceeded", "connection reset", "context deadline exceeded"}, with: "/v2/", text: "its image cannot be pulled: the host does not reach the registry"},
	{words: []string{"no space left on device"}, text: "its host's disk is full"},
	{words: []string{"cannot allocate memory", "not enough memory"}, text: "its host's memory is full"},
	{words: []string{"timeout getting ip address", "failed to allocate ip", "no ip address available"}, text: "its host gives it no address: Rancher's network service may be down"},
	{words: []string{"volume"}, with: "not found", text: "a volume it needs is missing"},
}

// readDeadEnd recognises a message; false when it is none that is known.
func readDeadEnd(message string) (deadEnd, bool) {
	lower := strings.ToLower(message)
	for i := range deadEnds {
		d := &deadEnds[i]
		if !d.isIn(lower) {
			continue
		}
		text := d.text
		if d.detail != nil {
			m := d.detail.FindStringSubmatch(message)
			if m == nil {
				continue
			}
			text = strings.Replace(text, "%s", strings.TrimSpace(m[1]), 1)
		}
		return deadEnd{text: text, isVersions: d.isVersions}, true
	}
	return deadEnd{}, false
}

func (d *dead) isIn(lower string) bool {
	if d.with != "" && !strings.Contains(lower, d.with) {
		return false
	}
	for _, w := range d.words {
		if strings.Contains(lower, w) {
			return true
		}
	}
	return false
}

// noteDeadEnd looks for one in Rancher's messages of this look: those of new
// containers, which name the cause first, and the service's.
func (l *look) noteDeadEnd() {
	if l.mem.rollout == "" {
		return
	}
	found, isFound := l.findDeadEnd()
	switch {
	case isFound && found.text == l.mem.deadEnd.text:
		l.mem.deadEnd.last = l.in.Now
	case isFound:
		found.since, found.last = l.in.Now, l.in.Now
		l.mem.deadEnd = found
	case l.mem.deadEnd.text != "" && l.in.Now.Sub(l.mem.deadEnd.last) > deadEndPause:
		l.mem.deadEnd = deadEnd{}
	}
}

func (l *look) findDeadEnd() (deadEnd, bool) {
	for i := range l.svc().Containers {
		if !l.hasMessages {
			break // Nearly always.
		}
		c, k := &l.svc().Containers[i], l.rows.of(i).kind
		if c.Message == "" || !k.has(fresh) || k.has(running) {
			continue
		}
		if d, ok := readDeadEnd(c.Message); ok {
			return d, true
		}
	}
	if m := l.svc().TransitioningMessage; m != "" && l.svc().Transitioning == "error" {
		return readDeadEnd(m)
	}
	return deadEnd{}, false
}

// isOthersFault says that containers fail to come up for a reason that is not the
// version's.
func (l *look) isOthersFault() bool { return l.mem.deadEnd.text != "" && !l.mem.deadEnd.isVersions }

// judgeDeadEnd says what the health gate makes of a dead end: an image that cannot
// run fails at once; what hosts and registry lack may come back until the
// deadline, and then the version is taken back without being condemned.
func (l *look) judgeDeadEnd() (Finding, bool) {
	d := &l.mem.deadEnd
	if d.text == "" {
		return Finding{}, false
	}
	// Unseen for a moment it may have passed, or Rancher is between two tries.
	lasted, isSeen := d.last.Sub(d.since), d.last.Equal(l.in.Now)
	f := Finding{Gate: "health", Verdict: Hold, Code: CodeDeadEnd, For: lasted, Detail: d.text}
	switch {
	case !isSeen:
	case d.isVersions:
		f.Verdict = Fail
	case lasted >= l.in.Target.Gates.Health.Deadline.Duration:
		f.Verdict, f.Blameless = Fail, true
	}
	return f, true
}

// plainly is Rancher's message without its plumbing; empty when it says nothing.
func plainly(message string) string {
	message = strings.TrimSpace(message)
	for _, prefix := range []string{"Failed to allocate instance [", "Bad instance ["} {
		if rest, ok := strings.CutPrefix(message, prefix); ok {
			if _, reason, ok := strings.Cut(rest, "]: "); ok {
				message = reason
			}
		}
	}
	switch message {
	case "In Progress", "STATE_CHANGED":
		return "" // No news (rancher-api 14.3).
	}
	return strings.TrimPrefix(message, "Error response from daemon: ")
}
