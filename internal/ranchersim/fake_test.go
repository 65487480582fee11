package ranchersim

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// fakeRuntime runs containers that answer checks as told and write lines when asked.
type fakeRuntime struct {
	mu      sync.Mutex
	running map[string]*fakeProcess // By container id.
	pulls   []string
}

func newFakeRuntime() *fakeRuntime { return &fakeRuntime{running: map[string]*fakeProcess{}} }

func (f *fakeRuntime) Pull(_ context.Context, image string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pulls = append(f.pulls, image)
	if strings.Contains(image, "missing") {
		return "", fmt.Errorf("Error response from daemon: manifest for %s not found: manifest unknown: manifest unknown", image)
	}
	return "sha256:" + strings.Repeat("c", 64), nil
}

func (f *fakeRuntime) Start(_ context.Context, c ContainerSpec) (Process, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &fakeProcess{spec: c, exited: make(chan struct{}), log: newFakeLog()}
	p.healthy.Store(true)
	p.log.add("started " + c.ID)
	f.running[c.ID] = p
	return p, nil
}

func (f *fakeRuntime) process(id string) *fakeProcess {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running[id]
}

type fakeProcess struct {
	spec    ContainerSpec
	healthy atomic.Bool
	exited  chan struct{}
	once    sync.Once
	log     *fakeLog
}

func (p *fakeProcess) IP() string {
	if p.spec.IP != "" {
		return p.spec.IP
	}
	return "192.0.2." + strings.TrimPrefix(p.spec.ID, "1i")
}

func (p *fakeProcess) Check(context.Context, HealthCheck) bool { return p.healthy.Load() }

func (p *fakeProcess) Exited() <-chan struct{} { return p.exited }

func (p *fakeProcess) Logs() LogSource { return p.log }

func (p *fakeProcess) Stop(context.Context) error {
	p.log.end()
	return nil
}

// crash ends the process by itself.
func (p *fakeProcess) crash() {
	p.log.end()
	p.once.Do(func() { close(p.exited) })
}

type fakeLog struct {
	mu      sync.Mutex
	lines   []LogLine
	changed chan struct{}
	ended   bool
}

func newFakeLog() *fakeLog { return &fakeLog{changed: make(chan struct{})} }

func (l *fakeLog) add(text string) { l.addLine(LogLine{Time: time.Now(), Stream: 1, Text: text}) }

func (l *fakeLog) addLine(line LogLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *fakeLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.ended = true
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

func (l *fakeLog) Lines(from int) ([]LogLine, int, <-chan struct{}, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines[from:], len(l.lines), l.changed, l.ended
}
