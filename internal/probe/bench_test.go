package probe

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// bigPage is a page of the layout of HAProxy 2.6 with n servers, made from the
// rows of a captured one.
func bigPage(tb testing.TB, n int) []byte {
	tb.Helper()
	lines := strings.SplitAfter(string(sample(tb, "02-mixed-after-40-requests")), "\n")
	var b bytes.Buffer
	for _, line := range lines {
		if !strings.HasPrefix(line, "18080_,01740bc4f65c") {
			b.WriteString(line)
			continue
		}
		for i := range n {
			b.WriteString(strings.Replace(line, "01740bc4f65c833b874db5d6a2d02ffebcf30e07", rancherName(fmt.Sprintf("10.1.%d.%d", i/250, i%250)), 1))
		}
	}
	return b.Bytes()
}

const (
	benchLoadBalancers = 20
	benchServers       = 500
)

func BenchmarkParse20x500(b *testing.B) {
	body := bigPage(b, benchServers)
	p := mustParse(b, body)
	b.SetBytes(int64(benchLoadBalancers * len(body)))
	b.ReportAllocs()
	for b.Loop() {
		for range benchLoadBalancers {
			if err := p.parse(body); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkLook20x500 is all of a look but the network: parse, ledger, and the
// account of a service with ten containers.
func BenchmarkLook20x500(b *testing.B) {
	body := bigPage(b, benchServers)
	var containers []observe.Container
	for i := range 10 {
		containers = append(containers, running(fmt.Sprintf("1i%d", i), fmt.Sprintf("10.1.0.%d", i)))
	}
	loadBalancers := make([]*loadBalancer, benchLoadBalancers)
	for i := range loadBalancers {
		loadBalancers[i] = benchLoadBalancer(b, body)
	}
	at := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		for _, lb := range loadBalancers {
			lb.instances[0].take(arrival{asked: at, answered: at})
			if out := lb.read("k", containers); out.Problem != nil || len(out.Servers) < benchServers {
				b.Fatalf("read %d servers: %v", len(out.Servers), out.Problem)
			}
		}
	}
}

func benchLoadBalancer(tb testing.TB, body []byte) *loadBalancer {
	tb.Helper()
	lb, err := newLoadBalancer(LoadBalancerSpec{Name: "lb", Stats: []string{"http://lb.example/admin?stats"}}, NewReader(ReaderOptions{}))
	if err != nil {
		tb.Fatal(err)
	}
	lb.instances[0].body.Write(body)
	return lb
}

// TestLooksLeaveNoGarbageBehind: two hundred looks more cost what the first did.
func TestLooksLeaveNoGarbageBehind(t *testing.T) {
	lb := benchLoadBalancer(t, bigPage(t, benchServers))
	at := time.Now()
	look := func() {
		lb.instances[0].take(arrival{asked: at, answered: at})
		if out := lb.read("k", []observe.Container{running("1i1", "10.1.0.1")}); out.Problem != nil {
			t.Fatal(out.Problem)
		}
	}
	look()
	early := testing.AllocsPerRun(10, look)
	for range 200 {
		look()
	}
	if late := testing.AllocsPerRun(10, look); late > early+5 {
		t.Errorf("allocations per look = %v after 200 looks, want %v as at first", late, early)
	}
	if got := len(lb.instances[0].ledger.index); got > benchServers+10 {
		t.Errorf("servers remembered = %d, want those of the page", got)
	}
	if parse := testing.AllocsPerRun(10, func() { lb.instances[0].page.parse(lb.instances[0].body.Bytes()) }); parse > 2 {
		t.Errorf("allocations per parse of a known page = %v, want none", parse)
	}
}
