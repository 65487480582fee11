package conformance

import (
	"maps"
	"regexp"
	"strconv"
	"strings"
)

// Identities differ between the two servers, but they must stand for each other: what is one thing there is one thing
// here. That is checked for all of a recording where a thing is known by its place (services, stacks, versions), and
// within one answer for containers and what belongs to them: which of several units Rancher takes first is arbitrary.

// pairs maps recorded identities to ours, one to one.
type pairs map[string]string

// bind notes that two identities stand for each other; it is false when one of them stands for another already.
func (p pairs) bind(recorded, ours string) bool {
	if known, ok := p[recorded]; ok {
		return known == ours
	}
	for _, taken := range p {
		if taken == ours {
			return false
		}
	}
	p[recorded] = ours
	return true
}

// identity is an id or a uuid inside a text.
var identity = regexp.MustCompile(`\b(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|1[a-z]{1,4}\d+)\b`)

// dockerID is Docker's id of a container.
var dockerID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// lasting are the ids that mean the same thing in all of a recording.
var lasting = regexp.MustCompile(`^1(?:a|s|st|e|se)\d+$`)

// unify tells whether two texts are the same but for identities that stand for each other.
func (c *comparison) unify(path, want, got string) bool {
	if want == "REDACTED" {
		return true // By the one who recorded.
	}
	if strings.HasPrefix(path, "filters.") && c.standsFor(want, got) {
		return true
	}
	if dockerID.MatchString(want) && dockerID.MatchString(got) {
		return c.here.bind(want, got)
	}
	if path == "container.name" || path == "container.labels.io.rancher.container.name" {
		return c.here.bind(want, got)
	}
	if want == got && !strings.ContainsAny(want, "1-") {
		return true // No identity in it.
	}
	wants, gots := identity.FindAllString(want, -1), identity.FindAllString(got, -1)
	if len(wants) != len(gots) || identity.ReplaceAllString(want, "*") != identity.ReplaceAllString(got, "*") {
		return false
	}
	for n := range wants {
		if !c.scope(path, wants[n]).bind(wants[n], gots[n]) {
			return false
		}
	}
	return true
}

// scope is where an identity has to be the same: everywhere, or within this answer.
func (c *comparison) scope(path, id string) pairs {
	if lasting.MatchString(id) || strings.HasSuffix(path, "version") || strings.HasSuffix(path, "environment.uuid") {
		return c.everywhere
	}
	return c.here
}

// comparison is one look at two bodies.
type comparison struct {
	everywhere pairs // The runner's, changed for good only when nothing differs.
	here       pairs // Of this answer only.
}

// differences compares two bodies; what stands for what is remembered when they agree.
func (r *runner) differences(want, got any) []string {
	c := &comparison{everywhere: maps.Clone(r.ids), here: pairs{}}
	found := c.differ("", want, got)
	if len(found) == 0 {
		maps.Copy(r.ids, c.everywhere)
	}
	return found
}

// standsFor tells whether two numbers are those of ids that stand for each other: filters show the number alone.
func (c *comparison) standsFor(want, got string) bool {
	for recorded, ours := range c.everywhere {
		if lasting.MatchString(recorded) && strconv.Itoa(number(recorded)) == want && strconv.Itoa(number(ours)) == got {
			return true
		}
	}
	return false
}
