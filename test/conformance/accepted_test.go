package conformance

import (
	"regexp"
	"slices"
	"sync"
	"time"
)

// how is what an accepted difference still has to fulfil.
type how int

const (
	ignored    how = iota // Nothing is compared.
	sameKind              // Null where the other is null, and otherwise of the same JSON type.
	chosenPort            // Equal but for host ports from the range that Rancher draws from.
)

// accepted lists the members that may differ, by path, each with its reason. Whatever is not here must be equal, but
// for identities (ids, uuids, addresses made of them), which must stand for each other everywhere (unify_test.go).
var accepted = []struct {
	path string // Regular expression over the path of a member.
	how  how
	why  string
}{
	{`(^|\.)(created|removed|firstRunning|endTime)(TS)?$`, sameKind, "time"},
	{`(^|\.)primaryIpAddress$`, sameKind, "an address that the network hands out"},
	{`labels\.io\.rancher\.container\.mac_address$`, sameKind, "likewise"},
	{`^container\.(createIndex|startCount)$`, sameKind, "which of several units is replaced first is arbitrary; pictures of all containers are compared"},
	{`^host\.(info|memory|localStorageMb|instanceIds)$`, sameKind, "the machine, and what else ran on it"},
	{`^host\.labels\.io\.rancher\.host\.`, ignored, "likewise"},
	{`^project\.healthState$|^stack\.serviceIds$`, ignored, "that of everything there is, of which a recording shows a part"},
	{`(^|\.)transitioningProgress$`, ignored, "a guess of Rancher's in percent, shown for a few containers"},
	{`onfig\.ports\[\d+\]$|publicEndpoints\[\d+\]\.port$`, chosenPort, "a host port that Rancher chose"},
}

// acceptance is a line of the table, compiled.
type acceptance struct {
	path *regexp.Regexp
	how  how
}

var acceptances = compile()

func compile() []acceptance {
	var list []acceptance
	for _, a := range accepted {
		list = append(list, acceptance{regexp.MustCompile(a.path), a.how})
	}
	return list
}

// none is that a path is not in the table.
const none how = -1

// looked remembers what the table says: the same few hundred paths come up again and again.
var looked sync.Map // string to how

// lookUpAccepted finds the first line of the table about a path.
func lookUpAccepted(path string) (how, bool) {
	if known, ok := looked.Load(path); ok {
		return known.(how), known != none
	}
	found := none
	for _, a := range acceptances {
		if a.path.MatchString(path) {
			found = a.how
			break
		}
	}
	looked.Store(path, found)
	return found, found != none
}

// passing lists lines of recordings that are not compared, by recording, each group with its reason.
var passing = map[string][]struct {
	lines []int
	why   string
}{
	"12-load-balancer":                   {{[]int{17}, "the container took 2 s to start and was healthy before activation ended"}},
	"13-variants":                        {{[]int{36, 37}, "the old containers turn healthy before or after the new ones are gone, whichever is first"}},
	"15-collections":                     {{[]int{12}, "the one balancer there is, in the middle of another recording"}},
	"real-04-upgrade-missing-digest":     {{[]int{46}, "a read that was under way when the rollback was posted"}},
	"real-07-health-break-after-healthy": {{[]int{4, 55}, "the service had a rollout before that the recording does not show: upgrade, createIndex"}},
}

// begins is the second of the server's minute at which a recording began, where that matters: Rancher looks for work to
// repeat every 15 seconds, for containers that initialize for too long every minute, and sends frames every second.
var begins = map[string]struct {
	second time.Duration
	why    string
}{
	"real-02-upgrade-rollback-finish":    {440 * time.Millisecond, "frames were sent 0.56 s after each full second"},
	"real-04-upgrade-missing-digest":     {0, "attempts at 14.9, 29.9 and 44.9; the last one was under way when the rollback was posted"},
	"real-07-health-break-after-healthy": {52 * time.Second, "a container that initialized for too long was removed at 68"},
}

// isPassing tells whether a line is left out.
func isPassing(name string, seq int) bool {
	for _, p := range passing[name] {
		if slices.Contains(p.lines, seq) {
			return true
		}
	}
	return false
}
