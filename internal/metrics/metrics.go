// Package metrics shows figures of the daemon as Prometheus reads them.
//
// They are made when they are asked for, from what the controller remembers: no
// step waits for them, and none counts twice. Counters begin at zero with the
// process, as Prometheus expects.
package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// Source is what the figures are of. *controller.Controller satisfies it.
type Source interface {
	// Keys are the targets.
	Keys() []string
	// History is what is remembered of a target.
	History(key string) reconcile.History
	// Shadow is what trials of its load balancer gate have shown.
	Shadow(key string) reconcile.Shadow
}

// maxScrapes bounds how many are answered at once.
const maxScrapes = 3

// Handler answers a scrape of the source's figures, in the text format.
func Handler(s Source, version string) http.Handler {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "drover_build_info", Help: "The version of this Drover; always 1.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	registry.MustRegister(build, &collector{s})
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes})
}

// collector reads the figures of all targets.
type collector struct{ source Source }

func counter(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, []string{"target"}, nil)
}

var (
	shadowTrials = counter("drover_gate_shadow_trials_total",
		"Comparisons of two halves of a service that nobody was rolling out, by the load balancer gate.")
	shadowTriggers = counter("drover_gate_shadow_false_triggers_total",
		"Those comparisons in which one half was blamed: a rollback that would have been false.")
	shadowHolds = counter("drover_gate_shadow_holds_total",
		"Those comparisons that ended in what the gate took for an incident.")
	phase = prometheus.NewDesc("drover_target_phase",
		"Where a target stands; 1 for its phase.", []string{"target", "phase"}, nil)
	alert = prometheus.NewDesc("drover_target_alert",
		"1 when a person has to look at the target.", []string{"target"}, nil)
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{shadowTrials, shadowTriggers, shadowHolds, phase, alert} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, t prometheus.ValueType, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, value, labels...)
	}
	for _, key := range c.source.Keys() {
		if s := c.source.Shadow(key); s.Trials > 0 {
			send(shadowTrials, prometheus.CounterValue, float64(s.Trials), key)
			send(shadowTriggers, prometheus.CounterValue, float64(s.FalseTriggers), key)
			send(shadowHolds, prometheus.CounterValue, float64(s.Holds), key)
		}
		status := c.source.History(key).Status
		if status.Phase == "" {
			continue // Not looked at yet.
		}
		isAlert := 0.0
		if status.Alert {
			isAlert = 1
		}
		send(phase, prometheus.GaugeValue, 1, key, string(status.Phase))
		send(alert, prometheus.GaugeValue, isAlert, key)
	}
}
