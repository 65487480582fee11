package watch

import (
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

func TestRates(t *testing.T) {
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	g := gauge{}
	if _, _, _, ok := g.add(sample{at(0), observe.Counts{Requests: 1000, Failures: 10}}).rate(); ok {
		t.Error("one look gives a rate")
	}
	g = g.add(sample{at(0), observe.Counts{Requests: 1000, Failures: 10, Retries: 3}})
	g = g.add(sample{at(2), observe.Counts{Requests: 1080, Failures: 18, Retries: 5}})
	if perSecond, failed, retries, ok := g.rate(); !ok || perSecond != 40 || failed != 0.1 || retries != 2 {
		t.Errorf("rate() = %v, %v, %d, %t", perSecond, failed, retries, ok)
	}
	if same := g.add(sample{at(2), observe.Counts{Requests: 1080}}); len(same.samples) != 2 {
		t.Error("the same reading counts twice")
	}
	// The load balancer reloads: 20 requests came since.
	g = g.add(sample{at(4), observe.Counts{Requests: 20, Failures: 1}})
	if perSecond, failed, _, _ := g.rate(); perSecond != 25 || failed != 0.09 {
		t.Errorf("rate() after a reload = %v, %v", perSecond, failed)
	}
	for i := range 100 {
		g = g.add(sample{at(10 + i), observe.Counts{Requests: int64(20 + i)}})
	}
	if perSecond, failed, _, _ := g.rate(); perSecond != 1 || failed != 0 || len(g.samples) > sparkWidth+1 {
		t.Errorf("rate() of the last seconds = %v, %v from %d samples", perSecond, failed, len(g.samples))
	}
}

func TestGaugesJoinRows(t *testing.T) {
	row := func(id string, n int64, latency int64) observe.Server {
		return observe.Server{Container: id, Text: "UP", Total: observe.Counts{Requests: n}, Latency: latency}
	}
	containers := []observe.Container{{ID: "1i1"}, {ID: "1i2"}}
	lb := &observe.LoadBalancer{Servers: []observe.Server{row("1i1", 10, 5), row("1i1", 30, 9), row("", 99, 1), row("1i3", 7, 1)}}
	all := gauges{}.take(noon, lb, containers)
	if g, ok := all["1i1"]; !ok || g.samples[0].total.Requests != 40 || g.latency != 9 || len(all) != 1 {
		t.Errorf("gauges = %+v", all)
	}
	if kept := all.take(noon.Add(time.Second), &observe.LoadBalancer{Problem: &observe.Problem{}}, containers); len(kept) != 1 {
		t.Error("a page that cannot be read forgets what was read")
	}
	if gone := all.take(noon.Add(time.Second), lb, nil); len(gone) != 0 {
		t.Error("a container that is gone is kept")
	}
}

func TestSpark(t *testing.T) {
	if got := spark([]float64{0, 5, 10}, 10); got != "             ▁▄█" {
		t.Errorf("spark() = %q", got)
	}
	if got := []rune(spark(make([]float64, 40), 0)); len(got) != sparkWidth || got[0] != '▁' {
		t.Errorf("spark() of silence = %q", string(got))
	}
}
