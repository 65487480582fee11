//go:build unix

package ranchersim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// town is a server with many services over a real connection.
func town(b *testing.B, services, scale int, speed float64) (s *Server, base string) {
	b.Helper()
	s = New(Options{Speed: speed})
	b.Cleanup(s.Close)
	s.AddHost("host1.example", "192.0.2.1")
	stack, err := s.CreateStack("shop")
	if err != nil {
		b.Fatal(err)
	}
	launch := json.RawMessage(`{"imageUuid":"` + oldImage + `","environment":{"A":"1","B":"2"},"labels":{"team":"shop"}}`)
	for n := range services {
		if _, err := s.CreateService(ServiceSpec{StackID: stack, Name: fmt.Sprint("web", n), Scale: scale, LaunchConfig: launch, Start: true}); err != nil {
			b.Fatal(err)
		}
	}
	for deadline := time.Now().Add(2 * time.Minute); countIn(s, stateActive) < services; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("%d of %d services are active", countIn(s, stateActive), services)
		}
	}
	srv := httptest.NewServer(s.Handler())
	b.Cleanup(srv.Close)
	return s, srv.URL + "/v2-beta/projects/" + s.ProjectID()
}

// countIn counts services in a state.
func countIn(s *Server, state string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := 0
	for _, svc := range s.services {
		if svc.state == state {
			n++
		}
	}
	return n
}

// BenchmarkList1000x3 lists 1,000 services and their 3,000 containers in pages of 500, as a client does that begins.
func BenchmarkList1000x3(b *testing.B) {
	_, base := town(b, 1000, 3, 200)
	cpu := processorTime(b)
	for b.Loop() {
		if n := pagesOf(b, base+"/services?limit=500"); n != 1000 {
			b.Fatalf("listed %d services", n)
		}
		if n := pagesOf(b, base+"/containers?limit=500"); n != 3000 {
			b.Fatalf("listed %d containers", n)
		}
	}
	b.ReportMetric((processorTime(b)-cpu).Seconds()/float64(b.N), "cpu-s/op") // Server and reader together; other work on the machine does not count.
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// pagesOf counts the things on all pages of a list. It reads the bytes and decodes nothing but the link: what is
// measured is the server.
func pagesOf(b *testing.B, address string) int {
	b.Helper()
	things := 0
	for address != "" {
		resp, err := http.Get(address)
		if err != nil {
			b.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			b.Fatalf("GET %s: %d, %v", address, resp.StatusCode, err)
		}
		text := string(body)
		things += strings.Count(text, `"baseType":"`)
		_, rest, _ := strings.Cut(text[strings.LastIndex(text, `"pagination":`):], `"next":`)
		next := ""
		if strings.HasPrefix(rest, `"`) {
			next, _, _ = strings.Cut(rest[1:], `"`)
		}
		address = strings.ReplaceAll(next, `\/`, "/")
	}
	return things
}

// Benchmark500Upgrades compares one upgrade alone with the slowest of 500 at once: what the server's own clock takes is
// the same, so more is the server's work.
func Benchmark500Upgrades(b *testing.B) {
	const many = 500
	s, _ := town(b, many+1, 2, 1)
	for b.Loop() {
		alone := upgradeAll(b, s, 1)
		together := upgradeAll(b, s, many)
		b.ReportMetric(alone.Seconds(), "s-alone")
		b.ReportMetric(together.Seconds(), "s-slowest-of-500")
		b.ReportMetric(together.Seconds()/alone.Seconds(), "ratio")
	}
}

// upgradeAll upgrades the next n active services at once, finishes them, and returns how long the slowest upgrade took.
func upgradeAll(b *testing.B, s *Server, n int) time.Duration {
	b.Helper()
	s.mu.Lock()
	var chosen []*service
	for _, id := range sortedIDs(s.services) {
		if svc := s.services[id]; svc.state == stateActive && len(chosen) < n {
			chosen = append(chosen, svc)
		}
	}
	begun := time.Now()
	for _, svc := range chosen {
		next := cloneMap(svc.launchConfig)
		next["imageUuid"] = newImage
		strategy := map[string]any{"launchConfig": next, "batchSize": json.Number("1"), "intervalMillis": json.Number("1000")}
		s.replaceConfigs(svc, strategy)
		svc.pending = map[string]any{"type": "serviceUpgrade", "inServiceStrategy": strategy}
		s.schedule(svc, "upgrade")
	}
	s.mu.Unlock()
	var all sync.WaitGroup
	var mu sync.Mutex
	var slowest time.Duration
	for _, svc := range chosen {
		all.Go(func() {
			for {
				s.mu.RLock()
				state, changed := svc.state, svc.changed
				s.mu.RUnlock()
				if state == stateUpgraded {
					break
				}
				<-changed
			}
			mu.Lock()
			defer mu.Unlock()
			slowest = max(slowest, time.Since(begun))
		})
	}
	all.Wait()
	s.mu.Lock()
	for _, svc := range chosen {
		s.schedule(svc, "finishupgrade")
	}
	s.mu.Unlock()
	for countIn(s, stateFinishing) > 0 {
		time.Sleep(50 * time.Millisecond)
	}
	return slowest
}
