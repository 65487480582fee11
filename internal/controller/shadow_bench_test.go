package controller

import (
	"crypto/sha1" //nolint:gosec // Rancher names servers so.
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"gitlab.gf.com.cn/clickeggs/drover/internal/probe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

const (
	shadowTargets   = 5000
	shadowBalancers = 20
	// shadowEvery is the gate's default.
	shadowEvery = 30 * time.Second
	// pageStaysFresh is longer than a page serves another caller.
	pageStaysFresh = 600 * time.Millisecond
)

// BenchmarkShadow is one round of shadow mode: all of 5,000 targets of two containers
// are stepped once, 250 behind each of 20 load balancers, whose pages are fetched over
// a transport in memory, read and taken into the trials. Without shadow mode these looks
// would not be.
func BenchmarkShadow(b *testing.B) {
	clock := &shadowClock{now: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC), rows: make([][]string, shadowBalancers)}
	w := &world{services: map[string]observe.Service{}, image: imageOf(imageA)}
	var file strings.Builder
	file.WriteString("apiVersion: drover/v1\nrancher: {url: http://rancher.example, accessKey: {env: A}, secretKey: {env: S}}\nloadBalancers:\n")
	specs := make([]probe.LoadBalancerSpec, shadowBalancers)
	for n := range specs {
		url := fmt.Sprintf("http://lb-%d.example/admin?stats", n)
		fmt.Fprintf(&file, "- {name: lb-%d, stats: %q}\n", n, url)
		specs[n] = probe.LoadBalancerSpec{Name: fmt.Sprintf("lb-%d", n), Stats: []string{url}}
	}
	file.WriteString("targets:\n")
	for i := range shadowTargets {
		name := fmt.Sprintf("service-%04d", i)
		fmt.Fprintf(&file, "- {name: %s, stack: chat, service: %s, image: \"docker.gf.com.cn/clickeggs/parrot-rest:latest\", gates: {loadBalancer: {name: lb-%d}}}\n", name, name, i%shadowBalancers)
		w.services["chat/"+name] = clock.serve(name, i)
	}
	config, err := desired.Parse("targets.yaml", []byte(file.String()))
	if err != nil {
		b.Fatal(err)
	}
	held := liveHeap()
	balancers := probe.NewReader(probe.ReaderOptions{Transport: clock})
	if err := balancers.Update(specs); err != nil {
		b.Fatal(err)
	}
	core := NewCore(Parts{
		Observer: &observe.Observer{Images: w, Services: w, Balancers: balancers}, Rancher: w, Journal: w,
		Self: "drover-test", Log: logr.Discard(), Now: func() time.Time { return clock.now },
	}, config, nil)
	round := func() {
		time.Sleep(pageStaysFresh) // Processor time is what counts.
		clock.now = clock.now.Add(shadowEvery)
		for _, key := range core.Keys() {
			if _, err := core.Step(b.Context(), key); err != nil {
				b.Fatal(err)
			}
		}
	}
	for range 5 { // Adopted, and the baseline is known.
		round()
	}
	before := processorTime(b)
	for b.Loop() {
		round()
	}
	used := float64(processorTime(b)-before) / float64(b.N)
	if s := core.Shadow("chat/service-0000"); s.FalseTriggers > 0 {
		b.Errorf("%+v: a service that never fails was blamed", s)
	}
	b.ReportMetric(float64(liveHeap()-held)/(1<<20), "MB-live")
	runtime.KeepAlive(core)
	b.ReportMetric(used/1e6, "cpu-ms/round")
	b.ReportMetric(100*used/float64(shadowEvery), "%core-at-30s")
	if s := core.Shadow("chat/service-0000"); b.N > 20 && s.Trials == 0 {
		b.Errorf("%+v after %d rounds: no trial came to its end", s, b.N)
	}
	b.ReportMetric(0, "ns/op")
}

// shadowClock is the time, and the load balancers' pages at that time: each server
// serves ten requests a second and never fails.
type shadowClock struct {
	now  time.Time
	rows [][]string
}

// serve makes a service of two containers and its rows.
func (c *shadowClock) serve(name string, n int) observe.Service {
	s := observe.Service{
		ID: "1s" + name, Name: name, Stack: "chat", StackKnown: true, State: observe.StateActive, Scale: 2, HasHealthCheck: true,
		Actions: []string{"upgrade"}, Launch: observe.Launch{Image: imageA, Version: "v1"},
	}
	for i := range 2 {
		ip := fmt.Sprintf("10.42.%d.%d", n/100, n%100*2+i)
		s.Containers = append(s.Containers, observe.Container{
			ID: fmt.Sprintf("1i%d%d", n, i), Name: fmt.Sprintf("%s-%d", name, i), Version: "v1", State: "running", Health: "healthy", Image: imageA, IP: ip, StartCount: 1,
		})
		sum := sha1.Sum([]byte(ip)) //nolint:gosec // As above.
		c.rows[n%shadowBalancers] = append(c.rows[n%shadowBalancers], name+","+hex.EncodeToString(sum[:]))
	}
	return s
}

// RoundTrip answers with a page.
func (c *shadowClock) RoundTrip(r *http.Request) (*http.Response, error) {
	var n int
	if _, err := fmt.Sscanf(r.URL.Host, "lb-%d.example", &n); err != nil {
		return nil, err
	}
	served := 10 * (c.now.Unix() % 1_000_000)
	var text strings.Builder
	text.WriteString("# pxname,svname,status,check_status,type,weight,pid,lastchg,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,econ,eresp,wretr,wredis,chkfail,chkdown,ttime,\n")
	for _, row := range c.rows[n] {
		fmt.Fprintf(&text, "%s,UP,L7OK,2,1,1,%d,0,%d,0,0,0,0,0,0,0,0,0,0,1,\n", row, served/10, served)
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(text.String())), Header: http.Header{}, Request: r}, nil
}

// liveHeap is what is reachable.
func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
