package observe

import (
	"context"
	"regexp"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// MetricReader asks Prometheus servers. It gives one Metric for each query, in
// their order, and asks a server no more often than the query says.
type MetricReader interface {
	Metrics(ctx context.Context, key string, queries []MetricQuery) []Metric
}

// MetricQuery is one value to ask for, for the new version and for the old.
type MetricQuery struct {
	Name   string
	Server string
	// New and Old are PromQL; empty is not asked.
	New, Old string
	// Every is the time between two askings, StaleAfter how old a value may be.
	Every, StaleAfter time.Duration
}

// Metric is one value of the Prometheus gate.
type Metric struct {
	Name string `json:"name"`
	// At is when it was asked for; zero when it was not. The same reading is given
	// until the next is due.
	At time.Time `json:"at,omitzero"`
	// New is the new version's value. Old is the old version's; nil when it was not
	// asked for.
	New Value  `json:"new"`
	Old *Value `json:"old,omitempty"`
}

// Value is a finite number, or why there is none.
type Value struct {
	Problem *Problem `json:"problem,omitempty"`
	Number  float64  `json:"number,omitempty"`
}

// metricQueries writes the containers of both versions into a target's queries. A
// query that needs containers of a version is not asked while there are none.
func metricQueries(t desired.Target, containers []Container, version string) []MetricQuery {
	fresh, old := ofVersions(running(containers), version)
	queries := make([]MetricQuery, len(t.Gates.Prometheus))
	for i := range t.Gates.Prometheus {
		g := &t.Gates.Prometheus[i]
		q := MetricQuery{Name: g.Name, Server: g.Server, Every: g.Every.Duration, StaleAfter: g.StaleAfter.Duration}
		q.New = fillQuery(g.Query, t, fresh)
		switch {
		case g.OldQuery != "":
			q.Old = fillQuery(g.OldQuery, t, old)
		case g.MaxRatio != nil && containerList.MatchString(g.Query):
			q.Old = fillQuery(g.Query, t, old)
		}
		queries[i] = q
	}
	return queries
}

// placeholder matches what stands for containers or the target in a query, and
// containerList only the former.
var (
	placeholder   = regexp.MustCompile(`\$(ips|ids|names|stack|service)\b`)
	containerList = regexp.MustCompile(`\$(ips|ids|names)\b`)
)

// fillQuery replaces the placeholders of a query; empty when it names containers
// and there are none, because a pattern of nothing matches everything.
func fillQuery(query string, t desired.Target, containers []Container) string {
	if len(containers) == 0 && containerList.MatchString(query) {
		return ""
	}
	return placeholder.ReplaceAllStringFunc(query, func(name string) string {
		switch name {
		case "$stack":
			return t.Stack
		case "$service":
			return t.Service
		}
		parts := make([]string, len(containers))
		for i, c := range containers {
			parts[i] = literal(map[string]string{"$ips": c.IP, "$ids": c.ID, "$names": c.Name}[name])
		}
		return strings.Join(parts, "|")
	})
}

// literal is a pattern that matches a text itself, without a backslash or a
// quote: it stands within a string of PromQL.
func literal(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == ':':
			b.WriteRune(r)
		case r == '.':
			b.WriteString("[.]")
		default:
			b.WriteByte('.') // Any character: the names here have no other.
		}
	}
	return b.String()
}
