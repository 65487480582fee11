package desired

import (
	"fmt"
	"slices"
	"strings"
)

// relateChecks: each is one thing, under a name of its own.
func (c *checker) relateChecks(checks []Check) {
	names := first{}
	for i, k := range checks {
		at := fmt.Sprintf("checks[%d]", i)
		if earlier, taken := names.take(k.Name, at); taken && k.Name != "" {
			c.add(c.lines[at+".name"], at+".name", "%s is already %s (line %d)", k.Name, earlier, c.lines[earlier])
		}
		var kinds []string
		for kind, has := range map[string]bool{"webhook": k.Webhook != nil, "command": k.Command != nil, "pipeline": k.Pipeline != nil} {
			if has {
				kinds = append(kinds, kind)
			}
		}
		slices.Sort(kinds)
		switch len(kinds) {
		case 0:
			if c.paths[at] || c.paths[at+".webhook"] || c.paths[at+".command"] || c.paths[at+".pipeline"] {
				break // Said already.
			}
			c.add(c.lines[at], at, "needs one of webhook, command and pipeline")
		case 1:
		default:
			c.add(c.lines[at+"."+kinds[1]], at+"."+kinds[1], "and %s exclude each other: a check is one thing", kinds[0])
		}
		c.relateVariables(at, k)
	}
}

// relateVariables keeps the names that Drover sets itself.
func (c *checker) relateVariables(at string, k Check) {
	var names []string
	where := at + ".pipeline.variables."
	if k.Pipeline != nil {
		for name := range k.Pipeline.Variables {
			names = append(names, name)
		}
	}
	if k.Command != nil {
		where = at + ".command.env."
		for name := range k.Command.Env {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.HasPrefix(name, "DROVER_") {
			c.add(c.lines[where+name], where+name, "begins with DROVER_, which names the rollout's own variables")
		}
	}
}

// checkChecks: a target's checks exist, and have time for a verdict.
func (r *relation) checkChecks() {
	seen := first{}
	for i, name := range r.target.Gates.Checks {
		at := fmt.Sprintf("gates.checks[%d]", i)
		if earlier, taken := seen.take(name, at); taken {
			r.refuse([]string{at}, "%s is %s already", name, earlier)
		}
		k, ok := r.config.Check(name)
		if !ok {
			known := make([]string, 0, len(r.config.Checks))
			for _, k := range r.config.Checks {
				known = append(known, k.Name)
			}
			r.refuseUnknown([]string{at}, name, "checks", known)
			continue
		}
		if deadline := r.target.Rollout.ProgressDeadline; k.Timeout.Duration >= deadline.Duration {
			r.warn([]string{at, knobDeadline}, "check %s may take %s, and the rollout is taken back after %s (progressDeadline)", name, k.Timeout, deadline)
		}
	}
}
