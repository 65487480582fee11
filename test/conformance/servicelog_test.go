package conformance

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// serviceLogProblems compares the log of a service. Rancher looks whether something must be repaired more or less often;
// those entries are left out. When only the last entries were asked for, where in a cycle of attempts the list begins
// is arbitrary: then each recorded entry must be found.
func (r *runner) serviceLogProblems(l line, wants, gots []any) (problems []string) {
	problems = r.memberProblems(wants, gots)
	want, got := entries(wants), entries(gots)
	if strings.Contains(l.Path, "limit=") {
		path := r.mapped("/v2-beta/projects/1a8/serviceLogs?limit=-1&serviceId=" + l.loggedService())
		_, all := r.call(http.MethodGet, path, "", nil)
		gots, _ = all["data"].([]any)
		got = entries(gots)
		for _, entry := range want {
			if !slices.Contains(got, entry) {
				problems = append(problems, ": our service never logged "+entry)
			}
		}
		return problems
	}
	if !slices.Equal(got, want) {
		problems = append(problems, ": the log is\n\t"+strings.Join(got, "\n\t")+"\nwant\n\t"+strings.Join(want, "\n\t"))
	}
	return problems
}

// loggedService is the recorded id of the service whose log is read.
func (l line) loggedService() string {
	if id := l.serviceOf(); id != "" {
		return id
	}
	return identity.FindAllString(l.Path, -1)[1]
}

// entries are what the lines of a service log say, without those of repairs.
func entries(data []any) []string {
	var list []string
	for _, item := range data {
		e := item.(map[string]any)
		kind, _ := e["eventType"].(string)
		if strings.HasPrefix(kind, "service.trigger") {
			continue
		}
		description, _ := e["description"].(string)
		list = append(list, fmt.Sprintf("%s %q %v sub=%v container=%t", kind, plain(description),
			e["level"], e["subLog"], e["instanceId"] != nil))
	}
	return list
}

// memberProblems wants records of a type to have the same members and links.
func (r *runner) memberProblems(wants, gots []any) []string {
	shapes := map[string]bool{}
	for _, got := range gots {
		shapes[shape(got)] = true
	}
	for _, want := range wants {
		if !shapes[shape(want)] {
			return []string{": no record of ours has the members " + shape(want)}
		}
	}
	return nil
}

// shape lists the members of a record and of its links.
func shape(record any) string {
	m, _ := record.(map[string]any)
	return names(m) + " links: " + names(m["links"])
}
