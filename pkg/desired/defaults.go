package desired

import (
	"fmt"
	"maps"
	"math"
	"reflect"
)

// builtin is what a target gets where neither it nor the file's defaults say
// otherwise. The figures are those of the systems that roll out with health
// gates (rollout-safety 4.7), and a rollout in which nothing is set takes a
// quarter of an hour.
func builtin() Defaults {
	return Defaults{
		FirstSight: Adopt,
		Platform:   "linux/amd64",
		Rollout: Rollout{
			BatchSize:         1,
			Interval:          Seconds(5),
			StartFirst:        new(bool),
			Settle:            pointer(Seconds(5)),
			Look:              Seconds(2),
			Bake:              minutes(10),
			Probation:         pointer(minutes(60)),
			ProgressDeadline:  minutes(30),
			NoDataLimit:       minutes(5),
			RollbackDeadline:  minutes(5),
			Backoff:           pointer(minutes(15)),
			RollbacksPerDay:   2,
			Finish:            FinishAuto,
			ApprovalTimeout:   minutes(60),
			OnApprovalTimeout: TimeoutRollback,
			OnDeadline:        TimeoutRollback,
			OnSameLayers:      SameLayersAllow,
		},
		Gates: Gates{
			Health:       &HealthGate{MinHealthyTime: Seconds(30), Deadline: minutes(5), MaxRestarts: new(int)},
			LoadBalancer: &LoadBalancerGate{MaxErrorRate: pointer(Percent(0.05)), ProbesCount: pointer(true), Shadow: pointer(Seconds(30))},
			HTTP: &HTTPGate{
				Path: "/", Every: Seconds(2), Timeout: Seconds(1), FailureThreshold: 3,
				WarmUp: pointer(Seconds(30)), MaxSlowdown: pointer(1.3),
			},
			TCP:  &TCPGate{Every: Seconds(2), Timeout: Seconds(1), FailureThreshold: 3},
			Logs: &LogsGate{Novelty: NoveltyReport},
			// What each query that a target has gets.
			Prometheus: []PrometheusGate{{Every: Seconds(15), StaleAfter: minutes(1), FailureThreshold: 3}},
		},
	}
}

func minutes(n float64) Duration { return Seconds(60 * n) }

func pointer[T any](v T) *T { return &v }

// setDefaults completes a configuration. Every default is set here and nowhere
// else; those that follow from another value are in setDerived.
func setDefaults(c *Config) {
	merge(&c.Rancher, Rancher{Timeout: Seconds(10), Relist: minutes(5)})
	merge(&c.Limits, Limits{RolloutsPerEnvironment: 3, RolloutsPerLoadBalancer: 1, RollbacksPerHour: 3})
	for i := range c.Registries {
		merge(&c.Registries[i], builtinRegistry(""))
	}
	for i := range c.Prometheus {
		merge(&c.Prometheus[i], PrometheusServer{Timeout: Seconds(2)})
	}
	for i := range c.Checks {
		merge(&c.Checks[i], Check{Timeout: minutes(30), Every: Seconds(15)})
	}
	own := builtin()
	for i := range c.Targets {
		t := &c.Targets[i]
		if t.Name == "" {
			t.Name = t.Service
		}
		merge(&t.FirstSight, c.Defaults.FirstSight)
		merge(&t.FirstSight, own.FirstSight)
		merge(&t.Platform, c.Defaults.Platform)
		merge(&t.Platform, own.Platform)
		merge(&t.Rollout, c.Defaults.Rollout)
		merge(&t.Gates, c.Defaults.Gates)
		setDerived(t)
		merge(&t.Rollout, own.Rollout)
		merge(&t.Gates, present(own.Gates, t.Gates))
		for i := range t.Gates.Prometheus {
			merge(&t.Gates.Prometheus[i], own.Gates.Prometheus[0])
		}
		setEvidence(t.Gates.LoadBalancer)
	}
}

// setDerived sets what depends on other values: a rollout is given twice the time
// it must at least take, and a probe ends before the next begins.
func setDerived(t *Target) {
	own := builtin()
	if t.Rollout.ProgressDeadline.IsZero() {
		r, h := t.Rollout, HealthGate{}
		merge(&r, own.Rollout)
		if t.Gates.Health != nil {
			h = *t.Gates.Health
		}
		merge(&h, *own.Gates.Health)
		twice := Duration{2 * (r.Bake.Duration + h.Deadline.Duration)}
		t.Rollout.ProgressDeadline = Duration{max(twice.Duration, own.Rollout.ProgressDeadline.Duration)}
	}
	if p := t.Gates.HTTP; p != nil && p.Timeout.IsZero() && !p.Every.IsZero() {
		p.Timeout = Duration{min(p.Every.Duration, own.Gates.HTTP.Timeout.Duration)}
	}
	if p := t.Gates.TCP; p != nil && p.Timeout.IsZero() && !p.Every.IsZero() {
		p.Timeout = Duration{min(p.Every.Duration, own.Gates.TCP.Timeout.Duration)}
	}
}

// setEvidence sets the requests without which the gate cannot pass: so many
// clean ones put the upper 95 % bound of the error rate at its limit
// (rollout-safety 3.3, layer E: 59 for 5 %, 299 for 1 %).
func setEvidence(g *LoadBalancerGate) {
	if g == nil || g.MinRequests != 0 {
		return
	}
	n := math.Ceil(math.Log(0.05) / math.Log(1-float64(*g.MaxErrorRate)))
	g.MinRequests = int(min(n, 1_000_000))
}

// present keeps those gates that take part. Health always does.
func present(own, have Gates) Gates {
	if have.LoadBalancer == nil {
		own.LoadBalancer = nil
	}
	if have.HTTP == nil {
		own.HTTP = nil
	}
	if have.TCP == nil {
		own.TCP = nil
	}
	if have.Logs == nil {
		own.Logs = nil
	}
	own.Prometheus = nil // A list is no default of another; its items have defaults.
	return own
}

// builtinRegistry is a registry that the file does not list.
func builtinRegistry(host string) Registry {
	return Registry{Host: host, Poll: Seconds(30), RequestsPerSecond: 200, Concurrency: 16}
}

// merge sets what dst leaves open to what src says: key by key in structs and
// mappings, as a whole in lists. Nothing is shared between the two afterwards.
func merge[T any](dst *T, src T) {
	mergeValue(reflect.ValueOf(dst).Elem(), reflect.ValueOf(&src).Elem())
}

func mergeValue(dst, src reflect.Value) {
	switch {
	case src.IsZero():
	case dst.Kind() == reflect.Struct && dst.Type() != durationType:
		for i := range dst.NumField() {
			if dst.Type().Field(i).IsExported() {
				mergeValue(dst.Field(i), src.Field(i))
			}
		}
	case dst.Kind() == reflect.Pointer && dst.IsNil():
		dst.Set(reflect.New(dst.Type().Elem()))
		copyValue(dst.Elem(), src.Elem())
	case dst.Kind() == reflect.Pointer && isStruct(dst.Type().Elem()):
		mergeValue(dst.Elem(), src.Elem())
	case dst.Kind() == reflect.Map:
		mergeMap(dst, src)
	case dst.IsZero():
		copyValue(dst, src)
	}
}

func isStruct(t reflect.Type) bool { return t.Kind() == reflect.Struct && t != durationType }

// copyValue copies into a zero value without sharing lists and mappings.
func copyValue(dst, src reflect.Value) {
	switch {
	case isStruct(dst.Type()), dst.Kind() == reflect.Map:
		mergeValue(dst, src)
	case dst.Kind() == reflect.Slice:
		dst.Set(reflect.AppendSlice(reflect.MakeSlice(dst.Type(), 0, src.Len()), src))
	default:
		dst.Set(src)
	}
}

func mergeMap(dst, src reflect.Value) {
	if dst.IsNil() {
		dst.Set(reflect.MakeMapWithSize(dst.Type(), src.Len()))
	}
	for key, value := range src.Seq2() {
		if !dst.MapIndex(key).IsValid() {
			dst.SetMapIndex(key, value)
		}
	}
}

// derivedDefaults are the defaults that are no single value, in words.
var derivedDefaults = map[string]string{
	"owner":                                    "environment and host name",
	"rancher.environment":                      "the only one the key sees",
	"loadBalancers[].backends":                 "those in which the service is found",
	"targets[].name":                           "the service's name",
	"targets[].rollout.progressDeadline":       "30m, or twice bake + health deadline if that is longer",
	"targets[].gates.loadBalancer.minRequests": "by maxErrorRate: 59 for 5%, 299 for 1%",
	"targets[].gates.http.timeout":             "1s, or every if that is shorter",
	"targets[].gates.http.statuses":            "200 to 399",
	"targets[].gates.prometheus[].oldQuery":    "query, with maxRatio",
	"targets[].gates.tcp.timeout":              "1s, or every if that is shorter",
}

// DefaultValues are the defaults by path, in words where they follow from other
// values: the table of the reference page.
func DefaultValues() map[string]string {
	c := Config{Registries: []Registry{{}}, Prometheus: []PrometheusServer{{}}, Checks: []Check{{}}, Targets: []Target{{Gates: builtin().Gates}}}
	setDefaults(&c)
	table := map[string]string{}
	listValues(table, "", reflect.ValueOf(c))
	maps.Copy(table, derivedDefaults)
	return table
}

// listValues writes the set values below v into a table. A zero counts as set
// behind a pointer, and when it is a switch.
func listValues(table map[string]string, path string, v reflect.Value) {
	isOptional := v.Kind() == reflect.Pointer
	if isOptional {
		v = v.Elem()
	}
	switch {
	case !v.IsValid():
	case isStruct(v.Type()):
		for f := range fieldsOf(v.Type()) {
			listValues(table, join(path, rulesOf(f).key), v.FieldByIndex(f.Index))
		}
	case v.Kind() == reflect.Slice && v.Len() > 0 && isStruct(v.Type().Elem()):
		listValues(table, path+"[]", v.Index(0))
	case v.Kind() == reflect.Slice, v.Kind() == reflect.Map:
	case isOptional, v.Kind() == reflect.Bool, !v.IsZero():
		table[path] = fmt.Sprint(v.Interface())
	}
}
