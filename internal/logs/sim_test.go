package logs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// simSource asks the embedded Rancher for log streams.
type simSource struct {
	client  *http.Client
	project string
}

func (s *simSource) ask(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://rancher.example:8080/v2-beta/projects/"+s.project+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.SetBasicAuth("key", "secret")
	resp, err := s.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %d %s %w", method, path, resp.StatusCode, answer, err)
	}
	return json.Unmarshal(answer, out)
}

func (s *simSource) OpenLogs(ctx context.Context, id string, o Options) (string, error) {
	var access struct{ URL, Token string }
	in := map[string]any{"follow": o.Follow, "lines": o.Lines, "timestamps": o.Timestamps, "since": o.Since}
	err := s.ask(ctx, http.MethodPost, "/containers/"+id+"/?action=logs", in, &access)
	return access.URL + "?token=" + url.QueryEscape(access.Token), err
}

func (s *simSource) ContainerState(ctx context.Context, id string) (string, error) {
	var c struct{ State string }
	err := s.ask(ctx, http.MethodGet, "/containers/"+id, nil, &c)
	return c.State, err
}

// writing is a runtime whose containers write what they are told to.
type writing struct {
	mu   sync.Mutex
	logs map[string]*written
}

type written struct {
	ranchersim.Process
	mu      sync.Mutex
	lines   []ranchersim.LogLine
	changed chan struct{}
	ip      string
}

func (w *writing) Pull(context.Context, string) (string, error) { return "sha256:0", nil }

func (w *writing) Start(_ context.Context, c ranchersim.ContainerSpec) (ranchersim.Process, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logs[c.ID] = &written{changed: make(chan struct{}), ip: "192.0.2." + strings.TrimPrefix(c.ID, "1i")}
	return w.logs[c.ID], nil
}

func (w *writing) say(id, text string) {
	w.mu.Lock()
	l := w.logs[id]
	w.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, ranchersim.LogLine{Time: time.Now(), Stream: 1, Text: text})
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *written) IP() string                 { return l.ip }
func (l *written) Exited() <-chan struct{}    { return nil }
func (l *written) Logs() ranchersim.LogSource { return l }
func (l *written) Stop(context.Context) error { return nil }
func (l *written) Lines(from int) ([]ranchersim.LogLine, int, <-chan struct{}, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines[from:len(l.lines):len(l.lines)], len(l.lines), l.changed, false
}

// Nobody reads a follower, on connections without any buffer in between: the host's other streams go on, and the lines that
// were lost are counted. The embedded Rancher holds all streams of a host up while one client does not read, as the real
// proxy does.
func TestFollowerNeverHoldsUpTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runtime := &writing{logs: map[string]*written{}}
		server := ranchersim.New(ranchersim.Options{AccessKey: "key", SecretKey: "secret", ExternalHealth: true, Runtime: runtime})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { server.Run(ctx) })
		wire := ranchersim.NewWire()
		stop := wire.Serve(server.Handler())
		server.AddHost("host1.example", "192.0.2.1")
		stack, err := server.CreateStack("shop")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := server.CreateService(ranchersim.ServiceSpec{StackID: stack, Name: "web", Scale: 2, LaunchConfig: []byte(`{"imageUuid":"docker:a"}`), Start: true}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		src := &simSource{client: &http.Client{Transport: wire.Transport()}, project: server.ProjectID()}
		unread := Follow(t.Context(), src, FollowOptions{Client: src.client, Buffer: 20 * (lineCost + 10)}, Container{ID: "1i1"})
		read := Follow(t.Context(), src, FollowOptions{Client: src.client}, Container{ID: "1i2"})
		time.Sleep(time.Second)
		const n = 1000
		for i := range n {
			runtime.say("1i1", fmt.Sprint("unread ", i))
			runtime.say("1i2", fmt.Sprint("line ", i))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		if lines := drainAll(t, read); len(lines) != n {
			t.Errorf("%d lines of the neighbour came within a second, want %d", len(lines), n)
		}
		lost, kept := int64(0), int64(0)
		for _, l := range drainAll(t, unread) {
			lost += l.Dropped
			if l.Dropped == 0 {
				kept++
			}
		}
		if lost == 0 || lost+kept != n {
			t.Errorf("%d lines were kept and %d counted as lost, want %d together", kept, lost, n)
		}
		cancel()
		running.Wait()
		stop()
	})
}
