package desired

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
)

// relate checks what single values cannot show: names that must be unique or
// must exist, and knobs that must fit each other. A knob that cannot work with
// another is refused here, because during a rollout it would be noticed as a
// gate that never fails (Swarm's delay beyond its monitor, moby#37972).
func (c *checker) relate(config *Config) {
	if len(config.Targets) > maxTargets {
		c.add(c.lines["targets"], "targets", "has %d entries; at most %d are read", len(config.Targets), maxTargets)
		return
	}
	c.relateRancher(config.Rancher)
	c.relateRegistries(config.Registries)
	c.relateLoadBalancers(config.LoadBalancers)
	c.relatePrometheus(config.Prometheus)
	c.relateChecks(config.Checks)
	c.relateAPI(config.API)
	c.relateNames(config.Targets)
	for i := range config.Targets {
		r := relation{checker: c, config: config, target: &config.Targets[i], index: i}
		r.checkTimes()
		r.checkHealth()
		r.checkProbes()
		r.checkLoadBalancer()
		r.checkLogs()
		r.checkPrometheus()
		r.checkChecks()
		r.checkImages()
		r.adviseOnTimes()
		r.adviseOnEvidence()
	}
	config.warnings = c.warnings()
}

// first remembers where a name was first used.
type first map[string]string

// take notes a name and answers where it was used before. Names are compared
// without case, as Rancher's database compares them.
func (f first) take(name, where string) (earlier string, taken bool) {
	name = strings.ToLower(name)
	if earlier, taken = f[name]; !taken {
		f[name] = where
	}
	return earlier, taken
}

func (c *checker) relateRancher(r Rancher) {
	if !r.AccessKey.IsZero() && r.AccessKey == r.SecretKey {
		c.add(c.lines["rancher.secretKey"], "rancher.secretKey", "is read from the same place as accessKey")
	}
}

func (c *checker) relateAPI(api *API) {
	switch {
	case api == nil:
	case api.CertFile != "" && api.KeyFile == "":
		c.add(c.lines["api.certFile"], "api.certFile", "needs a keyFile beside it")
	case api.CertFile == "" && api.KeyFile != "":
		c.add(c.lines["api.keyFile"], "api.keyFile", "needs a certFile beside it")
	}
}

func (c *checker) relateRegistries(registries []Registry) {
	hosts := first{}
	for i, r := range registries {
		at := fmt.Sprintf("registries[%d]", i)
		if earlier, taken := hosts.take(r.Host, at); taken && r.Host != "" {
			c.add(c.lines[at+".host"], at+".host", "%s is already %s (line %d)", r.Host, earlier, c.lines[earlier])
		}
		hasPassword := !r.Password.IsZero() || c.paths[at+".password"]
		hasUsername := r.Username != "" || c.paths[at+".username"]
		switch {
		case hasUsername && !hasPassword:
			c.add(c.lines[at+".username"], at+".username", "needs a password beside it")
		case hasPassword && !hasUsername:
			c.add(c.lines[at+".password"], at+".password", "needs a username beside it")
		case hasUsername && r.DockerConfig != "":
			c.add(c.lines[at+".dockerConfig"], at+".dockerConfig", "and username exclude each other: which one is meant?")
		}
		if r.PlainHTTP && r.CAFile != "" {
			c.add(c.lines[at+".caFile"], at+".caFile", "has no use with plainHTTP")
		}
	}
}

func (c *checker) relateLoadBalancers(balancers []LoadBalancer) {
	names := first{}
	for i, lb := range balancers {
		at := fmt.Sprintf("loadBalancers[%d]", i)
		if earlier, taken := names.take(lb.Name, at); taken && lb.Name != "" {
			c.add(c.lines[at+".name"], at+".name", "%s is already %s (line %d)", lb.Name, earlier, c.lines[earlier])
		}
		urls := first{}
		for _, u := range lb.Stats {
			if _, taken := urls.take(u, at); taken {
				c.add(c.lines[at+".stats"], at+".stats", "names one page twice, so its requests would count twice")
			}
		}
	}
}

func (c *checker) relatePrometheus(servers []PrometheusServer) {
	names := first{}
	for i, p := range servers {
		at := fmt.Sprintf("prometheus[%d]", i)
		if earlier, taken := names.take(p.Name, at); taken && p.Name != "" {
			c.add(c.lines[at+".name"], at+".name", "%s is already %s (line %d)", p.Name, earlier, c.lines[earlier])
		}
		if p.Auth != nil && !p.Token.IsZero() {
			c.add(c.lines[at+".token"], at+".token", "and auth exclude each other: which one is meant?")
		}
	}
}

func (c *checker) relateNames(targets []Target) {
	names, services := first{}, first{}
	for i, t := range targets {
		at := fmt.Sprintf("targets[%d]", i)
		if t.Stack == "" || t.Service == "" {
			continue // Said already.
		}
		if earlier, taken := services.take(t.Key(), at); taken {
			c.add(c.line(at+".service"), at+".service", "%s is already %s (line %d): one service follows one image", t.Key(), earlier, c.lines[earlier])
			continue
		}
		if earlier, taken := names.take(t.Name, at); taken {
			c.add(c.line(at+".name"), at+".name", "%s is already the name of %s (line %d); names come from the service unless they are set", t.Name, earlier, c.lines[earlier])
		}
	}
}

// line is the line of a path, or of the nearest key above it that is written.
func (c *checker) line(path string) int {
	for path != "" {
		if line, ok := c.lines[path]; ok {
			return line
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return 0
}

// relation checks the knobs of one target against each other.
type relation struct {
	*checker
	config *Config
	target *Target
	index  int
}

// Where a knob is written, by how near that is to the target.
const (
	rankNowhere = iota
	rankDefaults
	rankTarget
)

// locate finds where a knob of the target is written: in the target, or in
// defaults, from where all targets have it.
func (r *relation) locate(knob string) (path string, rank int) {
	own, shared := fmt.Sprintf("targets[%d].%s", r.index, knob), "defaults."+knob
	if _, ok := r.lines[own]; ok {
		return own, rankTarget
	}
	if _, ok := r.lines[shared]; ok {
		return shared, rankDefaults
	}
	return own, rankNowhere
}

// refuse complains at the first of the knobs that is written, in the target
// before defaults. It is silent when one of them has been complained of.
func (r *relation) refuse(knobs []string, format string, args ...any) {
	if path, ok := r.place(knobs); ok {
		r.add(r.line(path), path, format, args...)
	}
}

// warn notes what works but is hardly meant.
func (r *relation) warn(knobs []string, format string, args ...any) {
	if path, ok := r.place(knobs); ok {
		r.advice.add(r.line(path), path, format, args...)
	}
}

// place chooses the knob to complain at; false means that a mistake in one of
// them has been told already.
func (r *relation) place(knobs []string) (string, bool) {
	best, bestRank := "", -1
	for _, knob := range knobs {
		path, rank := r.locate(knob)
		if r.paths[path] && !r.related[path] {
			return "", false
		}
		if rank > bestRank {
			best, bestRank = path, rank
		}
	}
	r.related[best] = true
	return best, true
}

const (
	knobBake     = "rollout.bake"
	knobDeadline = "rollout.progressDeadline"
	knobLook     = "rollout.look"
	knobHealth   = "gates.health.deadline"
	knobHealthy  = "gates.health.minHealthyTime"
	knobEvery    = "gates.http.every"
	knobSlowdown = "gates.http.maxSlowdown"
	knobBalancer = "gates.loadBalancer.name"
	knobRate     = "gates.loadBalancer.maxErrorRate"
	knobRequests = "gates.loadBalancer.minRequests"
	knobFail     = "gates.logs.fail"
	knobInterval = "rollout.interval"
)

// leastSlowdown is below what a comparison of answering times can tell
// (rollout-safety 3.6).
const leastSlowdown = 1.05

// leastLooks is how many looks a bake must hold: fewer are an interval without
// a reading, not a judgement over time.
const leastLooks = 3

func (r *relation) checkTimes() {
	p, h := r.target.Rollout, r.target.Gates.Health
	if p.Bake.Duration >= p.ProgressDeadline.Duration {
		r.refuse([]string{knobBake, knobDeadline},
			"bake (%s) must be shorter than progressDeadline (%s), or every rollout would be taken back", p.Bake, p.ProgressDeadline)
	} else if sum := p.Bake.Duration + h.MinHealthyTime.Duration; sum >= p.ProgressDeadline.Duration {
		r.refuse([]string{knobBake, knobDeadline, knobHealthy},
			"bake (%s) and minHealthyTime (%s) together must be shorter than progressDeadline (%s), or every rollout would be taken back",
			p.Bake, h.MinHealthyTime, p.ProgressDeadline)
	}
	if p.Bake.Duration < leastLooks*p.Look.Duration {
		r.refuse([]string{knobBake, knobLook}, "bake (%s) must hold at least %d looks (one every %s)", p.Bake, leastLooks, p.Look)
	}
}

func (r *relation) checkHealth() {
	p, h := r.target.Rollout, r.target.Gates.Health
	if h.Deadline.Duration >= p.ProgressDeadline.Duration {
		r.refuse([]string{knobHealth, knobDeadline},
			"health deadline (%s) must be shorter than progressDeadline (%s), or it would never be reached", h.Deadline, p.ProgressDeadline)
	}
	if h.MinHealthyTime.Duration >= h.Deadline.Duration {
		r.refuse([]string{knobHealthy, knobHealth},
			"minHealthyTime (%s) must be shorter than the health deadline (%s), or no container could become healthy in time", h.MinHealthyTime, h.Deadline)
	}
}

// probeKnobs are the knobs that every gate with probes has, and under which key.
type probeKnobs struct {
	gate           string
	port           int
	every, timeout Duration
	threshold      int
}

func (r *relation) checkProbes() {
	if g := r.target.Gates.HTTP; g != nil {
		r.checkProbe(probeKnobs{"gates.http", g.Port, g.Every, g.Timeout, g.FailureThreshold})
		if s := *g.MaxSlowdown; s != 0 && s < leastSlowdown {
			r.refuse([]string{knobSlowdown}, "must be 0, which compares nothing, or at least %g: answering times differ more than that by chance", leastSlowdown)
		}
	}
	if g := r.target.Gates.TCP; g != nil {
		r.checkProbe(probeKnobs{"gates.tcp", g.Port, g.Every, g.Timeout, g.FailureThreshold})
	}
}

func (r *relation) checkProbe(k probeKnobs) {
	every, timeout := k.gate+".every", k.gate+".timeout"
	if k.port == 0 {
		r.refuse([]string{k.gate + ".port"}, "is missing")
	}
	if k.timeout.Duration > k.every.Duration {
		r.refuse([]string{timeout, every}, "timeout (%s) must not be longer than every (%s): one probe ends before the next", k.timeout, k.every)
	}
	span := Duration{time.Duration(k.threshold) * k.every.Duration}
	if bake := r.target.Rollout.Bake; span.Duration > bake.Duration {
		r.refuse([]string{k.gate + ".failureThreshold", every, knobBake},
			"failureThreshold (%d) probes, one every %s, take %s, longer than the bake (%s): the gate could never fail", k.threshold, k.every, span, bake)
	}
}

func (r *relation) checkLoadBalancer() {
	g := r.target.Gates.LoadBalancer
	if g == nil {
		return
	}
	if g.Name == "" {
		r.refuse([]string{knobBalancer}, "is missing: it names an entry of loadBalancers")
		return
	}
	if _, ok := r.config.LoadBalancer(g.Name); ok {
		return
	}
	known := make([]string, 0, len(r.config.LoadBalancers))
	for _, lb := range r.config.LoadBalancers {
		known = append(known, lb.Name)
	}
	r.refuseUnknown([]string{knobBalancer}, g.Name, "loadBalancers", known)
}

// refuseUnknown complains of a name that is no entry of a list.
func (r *relation) refuseUnknown(knobs []string, name, list string, known []string) {
	if len(known) == 0 {
		r.refuse(knobs, "%s is no entry of %s, which has none", shorten(name), list)
		return
	}
	r.refuse(knobs, "%s is no entry of %s; %s", shorten(name), list, suggest(name, known))
}

func (r *relation) checkLogs() {
	if g := r.target.Gates.Logs; g != nil && len(g.Fail) == 0 && g.Novelty != NoveltyHold {
		r.refuse([]string{knobFail}, "is missing: without a pattern the gate could never fail, unless novelty is hold")
	}
}

func (r *relation) checkPrometheus() {
	names := first{}
	for i, g := range r.target.Gates.Prometheus {
		at := fmt.Sprintf("gates.prometheus[%d]", i)
		if earlier, taken := names.take(g.Name, at); taken && g.Name != "" {
			r.refuse([]string{at + ".name"}, "%s is already the name of %s", g.Name, earlier)
		}
		if _, ok := r.config.PrometheusServer(g.Server); !ok && g.Server != "" {
			known := make([]string, 0, len(r.config.Prometheus))
			for _, p := range r.config.Prometheus {
				known = append(known, p.Name)
			}
			r.refuseUnknown([]string{at + ".server"}, g.Server, "prometheus", known)
		}
		switch {
		case g.Max == nil && g.Min == nil && g.MaxRatio == nil:
			r.refuse([]string{at, at + ".max", at + ".min", at + ".maxRatio"}, "has no max, min or maxRatio: without a limit the gate could never fail")
		case g.Max != nil && g.Min != nil && *g.Max < *g.Min:
			r.refuse([]string{at + ".max"}, "is below min: no value could be good")
		}
		if span := (Duration{time.Duration(g.FailureThreshold) * g.Every.Duration}); span.Duration > r.target.Rollout.Bake.Duration {
			r.refuse([]string{at + ".failureThreshold", at + ".every", knobBake},
				"failureThreshold (%d) values, one every %s, take %s, longer than the bake (%s): the gate could never fail", g.FailureThreshold, g.Every, span, r.target.Rollout.Bake)
		}
	}
}

// checkImages looks at the sidekicks' names and at names that Docker Hub answers.
func (r *relation) checkImages() {
	for name := range r.target.Containers {
		if strings.EqualFold(name, r.target.Service) {
			r.refuse([]string{"containers." + name}, "is the service itself, whose image is the target's; containers are its sidekicks")
		}
	}
	named, err := reference.ParseNormalizedNamed(r.target.Image)
	if err == nil && reference.Domain(named) == "docker.io" && !strings.HasPrefix(r.target.Image, "docker.io/") {
		r.warn([]string{"image"}, "names no registry, so Docker Hub's %s is followed", named)
	}
}

// adviseOnTimes warns of times that work but are hardly meant.
func (r *relation) adviseOnTimes() {
	p := r.target.Rollout
	if p.Bake.Duration < 10*p.Look.Duration {
		r.warn([]string{knobBake, knobLook}, "bake (%s) holds fewer than ten looks (one every %s): little to judge by", p.Bake, p.Look)
	}
	if p.Bake.Duration > time.Hour {
		r.warn([]string{knobBake}, "bake (%s) is long: Rancher does not replace failed containers of a service in upgraded", p.Bake)
	}
	if p.NoDataLimit.Duration >= p.ProgressDeadline.Duration {
		r.warn([]string{"rollout.noDataLimit", knobDeadline}, "noDataLimit (%s) is never reached before progressDeadline (%s)", p.NoDataLimit, p.ProgressDeadline)
	}
	if p.Interval.Duration >= p.RollbackDeadline.Duration {
		r.warn([]string{knobInterval, "rollout.rollbackDeadline"}, "interval (%s) leaves no time for a second batch before rollbackDeadline (%s)", p.Interval, p.RollbackDeadline)
	}
}

// adviseOnEvidence warns when probes alone cannot reach the minimum evidence, so
// that the bake of a service without traffic would never pass.
func (r *relation) adviseOnEvidence() {
	g, probe, bake := r.target.Gates.LoadBalancer, r.target.Gates.HTTP, r.target.Rollout.Bake
	if g == nil {
		return
	}
	if probe == nil || !*g.ProbesCount {
		r.warn([]string{knobRequests, knobRate, knobBalancer},
			"needs %d requests from users in every bake: without that traffic no rollout finishes; add gates.http to fill up with probes", g.MinRequests)
		return
	}
	every := probe.Every
	if rate := probe.EvidenceRate; rate > 0 {
		every.Duration = min(every.Duration, time.Duration(float64(time.Second)/rate))
	}
	if probes := int(bake.Duration / every.Duration); probes < g.MinRequests {
		r.warn([]string{knobRequests, knobEvery, knobBake},
			"needs %d requests, and a container is probed only %d times in a bake (%s, every %s): the rest must come from users or further containers", g.MinRequests, probes, bake, every)
	}
}

// warnings are the notes in the order of the lines.
func (c *checker) warnings() Errors {
	return slices.Clip(c.advice.sorted())
}
