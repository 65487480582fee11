package simulation

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// kind says what an edited key means for readings that were taken without it.
type kind int

const (
	// judged keys are what readings are held against: the edited value is used.
	judged kind = iota + 1
	// read keys say what is read: readings by another value do not exist.
	read
	// pace keys say how often or how fast something happens: the recorded value is
	// used.
	pace
	// start keys are used, but what they do before the first look is not recorded.
	start
	// outside keys matter between rollouts only.
	outside
)

// kinds are all keys of rollout and gates. TestEveryKeyHasItsKind holds them to the
// types.
var kinds = map[string]kind{
	"rollout.batchSize": start, "rollout.interval": start, "rollout.startFirst": start, "rollout.settle": start,
	"rollout.look": pace,
	"rollout.bake": judged, "rollout.probation": judged, "rollout.progressDeadline": judged, "rollout.noDataLimit": judged,
	"rollout.rollbackDeadline": judged, "rollout.rollbacksPerDay": judged, "rollout.finish": judged,
	"rollout.approvalTimeout": judged, "rollout.onApprovalTimeout": judged, "rollout.onDeadline": judged,
	"rollout.backoff": outside, "rollout.onSameLayers": outside,

	"gates.health.minHealthyTime": judged, "gates.health.deadline": judged, "gates.health.maxRestarts": judged,

	"gates.loadBalancer.name": read, "gates.loadBalancer.maxErrorRate": judged, "gates.loadBalancer.minRequests": judged,
	"gates.loadBalancer.probesCount": judged, "gates.loadBalancer.shadow": outside,

	"gates.http.port": read, "gates.http.path": read, "gates.http.timeout": read, "gates.http.headers": read,
	"gates.http.expectHeaders": read, "gates.http.expectBody": read, "gates.http.expectJSON": read, "gates.http.identityHeader": read,
	"gates.http.every": pace, "gates.http.evidenceRate": pace,
	"gates.http.statuses": judged, "gates.http.failureThreshold": judged, "gates.http.warmUp": judged, "gates.http.maxSlowdown": judged,

	"gates.tcp.port": read, "gates.tcp.timeout": read, "gates.tcp.every": pace, "gates.tcp.failureThreshold": judged,

	"gates.logs.fail": read, "gates.logs.novelty": judged,

	"gates.prometheus.name": read, "gates.prometheus.server": read, "gates.prometheus.query": read, "gates.prometheus.oldQuery": read,
	"gates.prometheus.staleAfter": read, "gates.prometheus.every": pace,
	"gates.prometheus.max": judged, "gates.prometheus.min": judged, "gates.prometheus.maxRatio": judged,
	"gates.prometheus.ignoreBelow": judged, "gates.prometheus.failureThreshold": judged,

	"gates.checks": read,
}

// Change is a key that the edited file has otherwise.
type Change struct {
	Path string `json:"path"`
	Was  string `json:"was,omitempty"`
	Is   string `json:"is,omitempty"`
	kind kind
}

// String is the change for people.
func (c Change) String() string {
	return fmt.Sprintf("%s %s → %s", c.Path, orNone(c.Was), orNone(c.Is))
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// changes compares what a rollout was decided by with what the file says now.
func changes(was, is *desired.Target) []Change {
	before, after := flat(withLayers(was)), flat(withLayers(is))
	paths := maps.Clone(before)
	maps.Copy(paths, after)
	var all []Change
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		gate := "gates." + gateOf(path)
		if path != gate && before[gate] != after[gate] {
			continue // The whole gate came or went.
		}
		if before[path] != after[path] {
			all = append(all, Change{Path: path, Was: before[path], Is: after[path], kind: kindOf(path)})
		}
	}
	return all
}

// withLayers is a policy as it is meant: one that was recorded by a Drover that did not
// compare layers allowed them.
func withLayers(t *desired.Target) *desired.Target {
	meant := *t
	if meant.Rollout.OnSameLayers == "" {
		meant.Rollout.OnSameLayers = desired.SameLayersAllow
	}
	return &meant
}

// kindOf is the kind of a path, whose [0] and [key] parts are left out. What the
// table does not know is taken for something that was not read.
func kindOf(path string) kind {
	for p := withoutIndexes(path); p != ""; p = parent(p) {
		if k, ok := kinds[p]; ok {
			return k
		}
	}
	return read
}

func withoutIndexes(path string) string {
	for {
		open, rest, found := strings.Cut(path, "[")
		if !found {
			return path
		}
		_, tail, _ := strings.Cut(rest, "]")
		path = open + tail
	}
}

func parent(path string) string {
	i := strings.LastIndexByte(path, '.')
	return path[:max(i, 0)]
}

// flat are all keys of rollout and gates that are set, with their text.
func flat(t *desired.Target) map[string]string {
	leaves := map[string]string{}
	for name, part := range map[string]any{"rollout": t.Rollout, "gates": t.Gates} {
		data, err := json.Marshal(part)
		if err != nil {
			panic("simulation: a policy is plain data: " + err.Error())
		}
		var tree any
		if err := json.Unmarshal(data, &tree); err != nil {
			panic("simulation: what was marshalled is JSON: " + err.Error())
		}
		flatten(name, tree, leaves)
	}
	return leaves
}

func flatten(path string, tree any, leaves map[string]string) {
	if parent(path) == "gates" && path != "gates.checks" {
		leaves[path] = "on"
	}
	switch v := tree.(type) {
	case map[string]any:
		for key, value := range v {
			if isNamed(path) {
				flatten(path+"["+key+"]", value, leaves)
			} else {
				flatten(path+"."+key, value, leaves)
			}
		}
	case []any:
		for i, value := range v {
			if path == "gates.checks" { // A set: a check is called once, wherever it stands.
				leaves[fmt.Sprintf("%s[%v]", path, value)] = "called"
				continue
			}
			flatten(fmt.Sprintf("%s[%d]", path, i), value, leaves)
		}
	default:
		leaves[path] = fmt.Sprint(v)
	}
}

// isNamed says that a map's keys are the user's own words.
func isNamed(path string) bool {
	switch path {
	case "gates.http.headers", "gates.http.expectHeaders", "gates.http.expectJSON":
		return true
	}
	return false
}

// gateOf is the gate that a path belongs to.
func gateOf(path string) string {
	parts := strings.SplitN(withoutIndexes(path), ".", 3)
	if len(parts) < 2 || parts[0] != "gates" {
		return ""
	}
	return parts[1]
}

// adapt makes of the edited policy one that recorded readings can be held
// against, and names the keys that keep a gate from taking part.
func adapt(was, is *desired.Target, all []Change) (desired.Target, []Change) {
	t := *is
	t.Rollout.Look = was.Rollout.Look
	blind, unread := map[string]bool{}, []Change(nil)
	for _, c := range all {
		gate := gateOf(c.Path)
		if c.kind != read && !isNewComparison(c) || isDropped(gate, is) || gate == "checks" && c.Is == "" {
			continue
		}
		blind[gate], unread = true, append(unread, c)
	}
	keepPace(&t, was)
	g := &t.Gates
	if blind["loadBalancer"] {
		g.LoadBalancer = nil
	}
	if blind["http"] {
		g.HTTP = nil
	}
	if blind["tcp"] {
		g.TCP = nil
	}
	if blind["logs"] {
		g.Logs = nil
	}
	if blind["prometheus"] {
		g.Prometheus = nil
	}
	if blind["checks"] {
		g.Checks = slices.DeleteFunc(slices.Clone(g.Checks), func(name string) bool { return !slices.Contains(was.Gates.Checks, name) })
	}
	return t, unread
}

// isNewComparison says that a judged key has readings of the old version made that
// were not made before.
func isNewComparison(c Change) bool {
	switch withoutIndexes(c.Path) {
	case "gates.prometheus.maxRatio":
		return c.Was == ""
	case "gates.logs.novelty":
		return c.Was == "" || c.Was == string(desired.NoveltyOff)
	}
	return false
}

// isDropped says that the edited file has no such gate: there is nothing to read.
func isDropped(gate string, is *desired.Target) bool {
	g := &is.Gates
	switch gate {
	case "loadBalancer":
		return g.LoadBalancer == nil
	case "http":
		return g.HTTP == nil
	case "tcp":
		return g.TCP == nil
	case "logs":
		return g.Logs == nil
	case "prometheus":
		return len(g.Prometheus) == 0
	}
	return false
}

// keepPace takes what says how often a gate reads from the record: readings come
// as they came.
func keepPace(t, was *desired.Target) {
	g, old := &t.Gates, &was.Gates
	if g.HTTP != nil && old.HTTP != nil {
		h := *g.HTTP
		h.Every, h.EvidenceRate = old.HTTP.Every, old.HTTP.EvidenceRate
		g.HTTP = &h
	}
	if g.TCP != nil && old.TCP != nil {
		c := *g.TCP
		c.Every = old.TCP.Every
		g.TCP = &c
	}
	if len(g.Prometheus) == len(old.Prometheus) {
		g.Prometheus = slices.Clone(g.Prometheus)
		for i := range g.Prometheus {
			g.Prometheus[i].Every = old.Prometheus[i].Every
		}
	}
}
