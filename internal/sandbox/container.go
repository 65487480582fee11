package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// stopGrace is how long open requests may take to end after a stop: Docker's own.
const stopGrace = 10 * time.Second

// container is one run of a container: from its start to its end.
type container struct {
	spec  ranchersim.ContainerSpec
	image *image
	slot  *slot
	ports []int
	app   *app

	// serving ends when the process must go; its cause says whether open requests may finish.
	serving context.Context
	end     context.CancelCauseFunc
	// exited is closed when the process ended by itself, gone when it ended in any way.
	exited, gone chan struct{}

	server *server
}

// Why a process ends.
var (
	errCrashed = errors.New("crashed")
	errStopped = errors.New("stopped")
	errKilled  = errors.New("killed")
)

func newContainer(spec ranchersim.ContainerSpec, img *image, s *slot, ports []int, seed uint64) *container {
	c := &container{
		spec: spec, image: img, slot: s, ports: ports,
		exited: make(chan struct{}), gone: make(chan struct{}),
	}
	c.serving, c.end = context.WithCancelCause(context.Background())
	c.app = newApp(img, spec.Name, s.logs, seed)
	c.server = newServer(c.app)
	c.server.BaseContext = func(net.Listener) context.Context { return c.app.alive }
	return c
}

// start opens the ports, unless they are to open late, and runs the process; ended is called when it is gone.
func (c *container) start(ended func()) error {
	b := c.image.behaviour
	c.slot.logs.setEnded(false)
	c.slot.logs.add(1, c.deployLine())
	if b.StartDelay == 0 && !b.Refuse && !b.Crash {
		if err := c.listen(); err != nil {
			c.slot.logs.add(2, err.Error())
			c.slot.logs.setEnded(true)
			return err
		}
	}
	go func() {
		defer close(c.gone)
		c.run(b)
		ended() // Before exited: who hears of the end may start the container again.
		if errors.Is(context.Cause(c.serving), errCrashed) {
			close(c.exited)
		}
	}()
	return nil
}

// deployLine says which version starts: starting gf-chat-parrot-rest-1 version 1.4.2 revision 9f1c2ab.
func (c *container) deployLine() string {
	line := "starting " + c.spec.Name
	if c.image.version != "" {
		line += " version " + c.image.version
	}
	if c.image.revision != "" {
		line += " revision " + c.image.revision
	}
	return cut(line, maxLogText)
}

// listen opens the ports and serves them.
func (c *container) listen() error {
	listeners, err := c.slot.claim.listen(c.ports)
	if err != nil {
		return err
	}
	for i, l := range listeners {
		c.slot.logs.add(1, fmt.Sprintf("listening on %d", c.ports[i]))
		c.server.serve(l, nil)
	}
	if text := c.image.behaviour.Log; text != "" && c.image.behaviour.LogRate == 0 {
		c.slot.logs.add(logStream(text), text)
	}
	return nil
}

// logStream writes what looks like trouble to stderr.
func logStream(text string) int {
	for _, sign := range []string{"panic", "error", "exception", "rejection", "fatal"} {
		if strings.Contains(strings.ToLower(text), sign) {
			return 2
		}
	}
	return 1
}

// run is the process: it waits for what its behaviour has in store, or for its end.
func (c *container) run(b Behaviour) {
	defer c.slot.logs.setEnded(true)
	defer c.server.owned.Wait()
	listen, crash, refuse := after(b.StartDelay), after(b.CrashAfter), after(b.RefuseAfter)
	if b.Refuse {
		listen = nil
	}
	if b.Crash {
		c.end(errCrashed)
	}
	lines, stop := every(b.LogRate)
	defer stop()
	for n := 1; ; {
		select {
		case <-c.serving.Done():
			c.close(context.Cause(c.serving))
			return
		case <-crash:
			c.end(errCrashed)
		case <-listen:
			if err := c.listen(); err != nil {
				c.slot.logs.add(2, err.Error())
				c.end(errCrashed)
			}
		case <-refuse:
			c.server.refuse()
		case <-lines:
			n = c.app.chatter(n)
		}
	}
}

// after fires once after a time, never when the time is zero.
func after(d time.Duration) <-chan time.Time {
	if d == 0 {
		return nil
	}
	return time.After(d)
}

// every fires often enough for a number of lines a second, never when that is zero.
func every(perSecond int) (<-chan time.Time, func()) {
	if perSecond == 0 {
		return nil, func() {}
	}
	t := time.NewTicker(max(time.Second/time.Duration(perSecond), logTick))
	return t.C, t.Stop
}

// close ends the server: a stop lets open requests finish, a crash cuts them.
func (c *container) close(cause error) {
	if errors.Is(cause, errStopped) {
		c.slot.logs.add(1, "received SIGTERM, closing")
		c.server.drain(stopGrace)
	}
	if errors.Is(cause, errCrashed) {
		c.slot.logs.add(2, "panic: "+c.spec.Name+" crashed")
	}
	c.app.kill()
	_ = c.server.Close()
}

// IP implements ranchersim.Process.
func (c *container) IP() string { return c.slot.claim.ip.String() }

// Exited implements ranchersim.Process.
func (c *container) Exited() <-chan struct{} { return c.exited }

// Logs implements ranchersim.Process.
func (c *container) Logs() ranchersim.LogSource { return c.slot.logs }

// Stop implements ranchersim.Process: open requests may finish, then the process is gone. When ctx ends first it is
// killed.
func (c *container) Stop(ctx context.Context) error {
	c.end(errStopped)
	select {
	case <-c.gone:
		return nil
	case <-ctx.Done():
		return c.kill()
	}
}

// kill ends the process at once.
func (c *container) kill() error {
	c.end(errKilled)
	c.app.kill()
	err := c.server.Close()
	<-c.gone
	if err != nil && !errors.Is(err, net.ErrClosed) { // A stop that was cut short has closed the listeners.
		return fmt.Errorf("closing container %s: %w", c.spec.Name, err)
	}
	return nil
}
