package sandbox

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// maxOpen is how many requests of a Traffic may be open; more are not sent.
	maxOpen = 256
	// requestTimeout bounds one of them.
	requestTimeout = 10 * time.Second
)

// paths are what users of the chat ask for.
var paths = []string{"/v1/rooms", "/v1/rooms/7/messages", "/v1/users/me", "/v1/rooms/7/members", "/v1/presence"}

// TrafficCounts are what users got.
type TrafficCounts struct {
	// Sent is how many requests were begun, Skipped how many were not because too many were open.
	Sent    int `json:"sent"`
	Skipped int `json:"skipped,omitempty"`
	// Answered is below 500, Failed is 500 and above, Lost is no answer at all.
	Answered int `json:"answered"`
	Failed   int `json:"failed"`
	Lost     int `json:"lost,omitempty"`
}

// Traffic sends requests through the load balancer at a steady rate, whatever the answers.
type Traffic struct {
	url    string
	client *http.Client
	stop   context.CancelFunc
	owned  sync.WaitGroup
	open   chan struct{}

	mu     sync.Mutex
	counts TrafficCounts
}

// Traffic begins to send so many requests a second, until ctx ends or it is stopped. The world's Close stops it too.
func (w *World) Traffic(ctx context.Context, perSecond float64) (*Traffic, error) {
	if !(perSecond > 0 && perSecond <= 10_000) {
		return nil, fmt.Errorf("%g requests a second: want more than 0 and at most 10,000", perSecond)
	}
	t := &Traffic{url: w.info.LoadBalancer, open: make(chan struct{}, maxOpen)}
	// A connection per request, so that a reloaded load balancer counts the next one.
	t.client = &http.Client{Timeout: requestTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	ctx, t.stop = context.WithCancel(ctx)
	unhook := context.AfterFunc(w.ctx, t.stop)
	t.owned.Go(func() {
		defer unhook()
		t.pace(ctx, time.Duration(float64(time.Second)/perSecond))
	})
	w.owned.Go(t.owned.Wait)
	return t, nil
}

// pace sends what is due since the beginning, so that a late tick loses nothing.
func (t *Traffic) pace(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(max(every, time.Millisecond))
	defer tick.Stop()
	began := time.Now()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for due := int(time.Since(began) / every); n < due; n++ {
			t.begin(ctx, paths[n%len(paths)])
		}
	}
}

// begin sends one request unless too many are open.
func (t *Traffic) begin(ctx context.Context, path string) {
	select {
	case t.open <- struct{}{}:
	default:
		t.count(func(c *TrafficCounts) { c.Skipped++ })
		return
	}
	t.count(func(c *TrafficCounts) { c.Sent++ })
	t.owned.Go(func() {
		defer func() { <-t.open }()
		t.send(ctx, path)
	})
}

func (t *Traffic) send(ctx context.Context, path string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url+path, nil)
	if err != nil {
		t.count(func(c *TrafficCounts) { c.Lost++ })
		return
	}
	resp, err := t.client.Do(req)
	if err != nil && ctx.Err() != nil {
		t.count(func(c *TrafficCounts) { c.Sent-- }) // Taken back by the stop, not lost.
		return
	}
	if err != nil {
		t.count(func(c *TrafficCounts) { c.Lost++ })
		return
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // The status is what counts.
	t.count(func(c *TrafficCounts) {
		if resp.StatusCode >= 500 {
			c.Failed++
		} else {
			c.Answered++
		}
	})
}

func (t *Traffic) count(f func(*TrafficCounts)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.counts)
}

// Counts is what users got until now.
func (t *Traffic) Counts() TrafficCounts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts
}

// Stop ends the traffic, waits for open requests to end and returns the final counts.
func (t *Traffic) Stop() TrafficCounts {
	t.stop()
	t.owned.Wait()
	return t.Counts()
}
