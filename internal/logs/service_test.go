package logs

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// fakeServices is an informer's pictures, without an informer.
type fakeServices struct {
	mu       sync.Mutex
	services map[ServiceName]observe.Service
	watchers map[ServiceName][]chan struct{}
}

func newServices() *fakeServices {
	return &fakeServices{services: map[ServiceName]observe.Service{}, watchers: map[ServiceName][]chan struct{}{}}
}

// show is an event frame: the service looks so from now on.
func (f *fakeServices) show(s observe.Service) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := ServiceName{s.Stack, s.Name}
	f.services[n] = s
	for _, c := range f.watchers[n] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (f *fakeServices) Service(_ context.Context, stack, service string, fresh bool) observe.Service {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fresh {
		panic("a fresh read costs requests")
	}
	s, ok := f.services[ServiceName{stack, service}]
	if !ok {
		s.Problem = &observe.Problem{Cause: observe.CausePending}
	}
	return s
}

func (f *fakeServices) Watch(stack, service string) (changed <-chan struct{}, stop func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, n := make(chan struct{}, 1), ServiceName{stack, service}
	f.watchers[n] = append(f.watchers[n], c)
	return c, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.watchers[n] = slices.DeleteFunc(f.watchers[n], func(have chan struct{}) bool { return have == c })
	}
}

// web is a service in a state, with the launch configuration "v2" in force.
func web(state observe.ServiceState, containers ...observe.Container) observe.Service {
	return observe.Service{Stack: "shop", Name: "web", State: state, Launch: observe.Launch{Version: "v2"}, Containers: containers}
}

func made(id, version string) observe.Container {
	return observe.Container{ID: id, Name: "shop-web-1", Version: version, State: "running"}
}

func TestFollowServicesJoinsContainersWithinASecondOfTheEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		defer stop()
		services := newServices()
		for i := range 300 {
			h.write("1i1", message{time.Now(), OutputStdout, fmt.Sprint("old ", i)})
		}
		services.show(web(observe.StateUpgrading, made("1i1", "v1")))
		f := FollowServices(t.Context(), h, services, ServiceOptions{FollowOptions: FollowOptions{Client: h.client}, Tail: 10}, ServiceName{"shop", "web"})
		time.Sleep(time.Second)
		h.write("1i2", message{time.Now(), OutputStderr, "first words"})
		begin := time.Now()
		services.show(web(observe.StateUpgrading, made("1i1", "v1"), made("1i2", "v2")))
		var joined []Line
		for len(joined) == 0 {
			lines, err := f.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range lines {
				if l.Container == "1i2" {
					joined = append(joined, l)
				}
			}
		}
		if d := time.Since(begin); d > time.Second {
			t.Errorf("the new container's first line came %v after the event, want within 1s", d)
		}
		want := Line{Container: "1i2", Name: "shop-web-1", Service: "shop/web", Version: VersionNew, Output: OutputStderr, Time: begin.UTC(), Text: "first words"}
		if joined[0] != want {
			t.Errorf("line is %+v, want %+v", joined[0], want)
		}
		asked := h.asked()
		if got := asked[0].Lines; got != 10 {
			t.Errorf("a container that was there gives %d lines of history, want 10", got)
		}
		if got := asked[len(asked)-1].Lines; got != AllLines {
			t.Errorf("a container that appeared gives %d lines of history, want all", got)
		}
		f.Close()
		if n := len(services.watchers[ServiceName{"shop", "web"}]); n != 0 {
			t.Errorf("%d watchers are left, want none", n)
		}
	})
}

// A lost event is made up for by the look that comes every second.
func TestFollowServicesWithoutAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		defer stop()
		services := newServices()
		f := FollowServices(t.Context(), h, services, ServiceOptions{FollowOptions: FollowOptions{Client: h.client}}, ServiceName{"shop", "web"})
		synctest.Wait()
		h.write("1i1", message{time.Now(), OutputStdout, "a"})
		services.mu.Lock()
		services.services[ServiceName{"shop", "web"}] = web(observe.StateActive, made("1i1", "v2"))
		services.mu.Unlock()
		time.Sleep(2 * recheck)
		if n := h.connected("1i1"); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
		drainAll(t, f)
	})
}

// Rancher that cannot be read ends no stream, a service that is gone does.
func TestFollowServicesWhileBlind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		defer stop()
		services := newServices()
		services.show(web(observe.StateActive, made("1i1", "v2")))
		f := FollowServices(t.Context(), h, services, ServiceOptions{FollowOptions: FollowOptions{Client: h.client}}, ServiceName{"shop", "web"})
		time.Sleep(time.Second)
		blind := web("")
		blind.Problem = &observe.Problem{Cause: observe.CauseUnreachable, Message: "rancher is away"}
		services.show(blind)
		time.Sleep(time.Minute)
		if s := f.Status(); len(s) != 1 || s[0].Phase != PhaseAttached {
			t.Errorf("status while blind is %+v, want one attached stream", s)
		}
		blind.Problem = &observe.Problem{Cause: observe.CauseNotFound}
		services.show(blind)
		time.Sleep(time.Minute)
		if s := f.Status(); len(s) != 0 {
			t.Errorf("status of a service that is gone is %+v, want none", s)
		}
		f.Close()
	})
}

func TestFollowServicesByVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		defer stop()
		services := newServices()
		services.show(web(observe.StateUpgrading, made("1i1", "v1"), made("1i2", "v2")))
		f := FollowServices(t.Context(), h, services, ServiceOptions{
			FollowOptions: FollowOptions{Client: h.client},
			Wants:         func(c Container) bool { return c.Version != VersionOld },
		}, ServiceName{"shop", "web"})
		time.Sleep(time.Second)
		if old, fresh := h.connected("1i1"), h.connected("1i2"); old != 0 || fresh != 1 {
			t.Errorf("%d connections to the old container and %d to the new one, want 0 and 1", old, fresh)
		}
		f.Close()
	})
}

func TestFollowServicesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		defer stop()
		services := newServices()
		services.show(web(observe.StateActive, made("1i1", "v2"), made("1i2", "v2")))
		begin := time.Now()
		const n = 1000
		for i := range n {
			h.write(fmt.Sprintf("1i%d", 1+i%2), message{begin.Add(time.Duration(i) * time.Second), OutputStdout, fmt.Sprint("line ", i)})
		}
		// The first connection is cut in a way that looks like the end.
		h.cut = func(_ Options, nth int) (int, bool) {
			if nth == 0 {
				return 100, true
			}
			return -1, false
		}
		f := FollowServices(t.Context(), h, services, ServiceOptions{FollowOptions: FollowOptions{Client: h.client, Once: true}, Tail: AllLines}, ServiceName{"shop", "web"})
		i := 0
		for l := range f.Lines(t.Context()) {
			if want := fmt.Sprint("line ", i); l.Text != want {
				t.Fatalf("line %d is %q, want %q", i, l.Text, want)
			}
			i++
		}
		if i != n {
			t.Errorf("%d lines came, want %d", i, n)
		}
		f.Close()
	})
}

func TestFollowOnceSaysWhatItCouldNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		defer stop()
		h.openError = func(id string) error {
			if id == "1i1" {
				return fmt.Errorf("container %s has no host", id)
			}
			return nil
		}
		h.write("1i2", message{time.Now(), OutputStdout, "a"})
		f := Follow(t.Context(), h, FollowOptions{Client: h.client, Once: true}, Container{ID: "1i1", Tail: 10}, Container{ID: "1i2", Tail: 10})
		if lines := slices.Collect(f.Lines(t.Context())); len(lines) != 1 {
			t.Errorf("%d lines came, want 1", len(lines))
		}
		for _, s := range f.Status() {
			if (s.Err != nil) != (s.Container.ID == "1i1") || s.Phase != PhaseEnded {
				t.Errorf("status is %+v, want an error of 1i1 only", s)
			}
		}
		f.Close()
	})
}

func TestFollowSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		defer stop()
		begin := time.Now()
		for i := range 100 {
			h.write("1i1", message{begin.Add(time.Duration(i) * time.Second), OutputStdout, fmt.Sprint(i)})
		}
		f := Follow(t.Context(), h, FollowOptions{Client: h.client}, Container{ID: "1i1", Tail: AllLines, Since: begin.Add(90 * time.Second)})
		time.Sleep(time.Second)
		if lines := drainAll(t, f); len(lines) != 10 || lines[0].Text != "90" {
			t.Errorf("%d lines came, the first %+v; want the last ten", len(lines), lines)
		}
	})
}

// Without history a stream that is cut before its first line goes on from when it
// was opened.
func TestFollowWithoutHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		defer stop()
		h.write("1i1", message{time.Now().Add(-time.Hour), OutputStdout, "long ago"})
		h.cut = func(_ Options, nth int) (int, bool) { return -nth, false }
		h.refuse = func(token string) bool { return false }
		cutNow := make(chan struct{})
		h.stateError = func(string) error { <-cutNow; return nil }
		f := Follow(t.Context(), h, FollowOptions{Client: h.client}, Container{ID: "1i1"})
		time.Sleep(time.Second)
		h.write("1i1", message{time.Now(), OutputStdout, "lost"})
		time.Sleep(time.Second)
		close(cutNow)
		time.Sleep(10 * time.Second)
		h.write("1i1", message{time.Now(), OutputStdout, "live"})
		time.Sleep(time.Second)
		var texts []string
		for _, l := range drainAll(t, f) {
			texts = append(texts, l.Text)
		}
		if !slices.Equal(texts, []string{"lost", "live"}) {
			t.Errorf("lines are %q, want those written since", texts)
		}
	})
}

// The history that a tail left out does not come with the overlap of a second
// connection.
func TestTailStaysATailAfterACut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		defer stop()
		for i := range 50 {
			h.write("1i1", message{time.Now().Add(time.Duration(i) * time.Millisecond), OutputStdout, fmt.Sprint(i)})
		}
		h.cut = func(_ Options, nth int) (int, bool) {
			if nth == 0 {
				return 3, false
			}
			return -1, false
		}
		f := Follow(t.Context(), h, FollowOptions{Client: h.client}, Container{ID: "1i1", Tail: 5})
		time.Sleep(time.Minute)
		var texts []string
		for _, l := range drainAll(t, f) {
			texts = append(texts, l.Text)
		}
		if want := []string{"45", "46", "47", "48", "49"}; !slices.Equal(texts, want) {
			t.Errorf("lines are %q, want %q", texts, want)
		}
	})
}

func TestVersionOf(t *testing.T) {
	current, other := made("1i1", "v2"), made("1i2", "v1")
	sidekick := observe.Container{ID: "1i3", LaunchName: "side", Version: "s1"}
	for _, c := range []struct {
		state          observe.ServiceState
		current, other Version
	}{
		{observe.StateActive, VersionUnknown, VersionOld},
		{observe.StateUpgrading, VersionNew, VersionOld},
		{observe.StateUpgraded, VersionNew, VersionOld},
		{observe.StateCanceledUpgrade, VersionNew, VersionOld},
		{observe.StateFinishingUpgrade, VersionNew, VersionOld},
		{observe.StateRollingBack, VersionOld, VersionNew},
	} {
		s := web(c.state, current, other, sidekick)
		s.Secondary = []observe.Launch{{Name: "side", Version: "s1"}}
		if got := VersionOf(&s, &current); got != c.current {
			t.Errorf("VersionOf of a current container while %s = %q, want %q", c.state, got, c.current)
		}
		if got := VersionOf(&s, &other); got != c.other {
			t.Errorf("VersionOf of another container while %s = %q, want %q", c.state, got, c.other)
		}
		if got := VersionOf(&s, &sidekick); got != VersionUnknown {
			t.Errorf("VersionOf of an untouched sidekick while %s = %q, want none", c.state, got)
		}
	}
	s := web(observe.StateActive)
	s.Upgrade = &observe.Upgrade{To: observe.Launch{Version: "v3"}}
	if got := VersionOf(&s, &observe.Container{Version: "v3"}); got != VersionNew {
		t.Errorf("VersionOf of what a rollback leaves = %q, want new", got)
	}
}
