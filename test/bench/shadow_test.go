package bench

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// shadowBalancers is how many load balancers the targets are behind.
const shadowBalancers = 20

// BenchmarkIdleShadow is BenchmarkIdle with the load balancer gate, which looks every
// 30 s at every service and tries itself on halves of it (shadow mode): 20 load
// balancers of 500 servers each, every one of which serves fifty requests a second.
// What it costs is the difference between the two.
func BenchmarkIdleShadow(b *testing.B) {
	idle(b, func(p *peers, targets []target) string {
		rows := make([][]string, shadowBalancers)
		lane := make(map[string]int, len(targets))
		for i := range targets {
			lane[targets[i].service] = i % shadowBalancers
			targets[i].gates = fmt.Sprintf(", gates: {loadBalancer: {name: lb-%d}}", i%shadowBalancers)
		}
		for _, c := range p.rancher.Containers() {
			n := lane[c.Service]
			rows[n] = append(rows[n], c.Service+","+serverName(c))
		}
		var head strings.Builder
		head.WriteString("\nloadBalancers:")
		for n := range rows {
			server := httptest.NewServer(statistics(rows[n]))
			b.Cleanup(server.Close)
			fmt.Fprintf(&head, "\n- {name: lb-%d, stats: %q}", n, server.URL+"/admin?stats")
		}
		return head.String()
	})
}

// statistics is a page whose servers all serve alike and never fail.
func statistics(rows []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var text strings.Builder
		text.WriteString("# pxname,svname,status,check_status,type,weight,pid,lastchg,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,econ,eresp,wretr,wredis,chkfail,chkdown,ttime,\n")
		age, served := int(time.Since(pageBegun).Seconds()), requests()
		for _, row := range rows {
			fmt.Fprintf(&text, "%s,UP,L7OK,2,1,1,%d,0,%d,0,0,0,0,0,0,0,0,0,0,1,\n", row, age, served)
		}
		_, _ = io.WriteString(w, text.String())
	})
}
