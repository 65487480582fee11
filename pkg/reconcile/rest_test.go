package reconcile

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// TestRestKeepsEveryFieldThatMatters: a new field of Memory is either kept at rest, or
// stops a rest, or is named here as one that begins from zero.
func TestRestKeepsEveryFieldThatMatters(t *testing.T) {
	fromZero := []string{"tracked", "replaced", "probes"}
	rest := reflect.TypeFor[Rest]()
	for i := range reflect.TypeFor[Memory]().NumField() {
		f := reflect.TypeFor[Memory]().Field(i)
		_, isKept := rest.FieldByName(f.Name)
		if !isKept && !slices.Contains(fromZero, f.Name) && !slices.Contains(stopsRest, f.Name) {
			t.Errorf("Memory.%s is neither kept at rest nor known to stop a rest", f.Name)
		}
	}
}

// stopsRest are the fields that hold a memory together when they are not zero.
var stopsRest = []string{
	"rollout", "sent", "deadEnd", "metrics", "bakeStart", "unprovedSince", "passedSince",
	"blindSince", "noDataSince", "mixedSince", "goneSince", "unreadySince",
}

// TestRestEndsWithWhatWaits: each of those fields does.
func TestRestEndsWithWhatWaits(t *testing.T) {
	p := tenContainers()
	p.run(20*time.Second, func(Decision) {})
	if _, ok := p.memory.Rest(); !ok || !p.last.IsQuiet() {
		t.Fatalf("%s %s is not at rest", p.last.Phase, p.last.Code)
	}
	now := p.now
	for name, wait := range map[string]func(*Memory){
		"rollout": func(m *Memory) { m.rollout = "r" }, "sent": func(m *Memory) { m.sent.action = Upgrade },
		"deadEnd": func(m *Memory) { m.deadEnd.text = "full" }, "metrics": func(m *Memory) { m.metrics = make([]metricMemory, 1) },
		"latency":   func(m *Memory) { m.probes.latency = &latencies{} },
		"bakeStart": func(m *Memory) { m.bakeStart = now }, "unprovedSince": func(m *Memory) { m.unprovedSince = now },
		"passedSince": func(m *Memory) { m.passedSince = now }, "blindSince": func(m *Memory) { m.blindSince = now },
		"noDataSince": func(m *Memory) { m.noDataSince = now }, "mixedSince": func(m *Memory) { m.mixedSince = now },
		"goneSince": func(m *Memory) { m.goneSince = now }, "unreadySince": func(m *Memory) { m.unreadySince = now },
	} {
		m := p.memory
		wait(&m)
		if _, ok := m.Rest(); ok {
			t.Errorf("a memory with %s is taken for one at rest", name)
		}
	}
}

// TestRestGivesBackWhatItKept: field by field.
func TestRestGivesBackWhatItKept(t *testing.T) {
	now := newPaper().now
	m := Memory{lastLook: now, state: observe.StateActive, stateSince: now, serviceID: "1s7", createIndex: 4, scale: 2, lb: &lbMemory{}}
	rest, ok := m.Rest()
	if got := rest.Memory(); !ok || !reflect.DeepEqual(got, m) {
		t.Errorf("after a rest %+v is remembered, want %+v", got, m)
	}
	for i := range reflect.TypeFor[Rest]().NumField() {
		if reflect.ValueOf(rest).Field(i).IsZero() {
			t.Errorf("%s is not kept, or not tried here", reflect.TypeFor[Rest]().Field(i).Name)
		}
	}
}
