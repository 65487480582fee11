package logs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// message is one line of a container as Docker stores it.
type message struct {
	at     time.Time
	output Output
	text   string
}

// dockerFrames is what Rancher's agent v0.13.11 makes of a message: Docker's
// stream, parts of 16 KiB with a header and a timestamp each, split at line ends
// before the headers are looked for.
func dockerFrames(m message) [][]byte {
	var stream []byte
	for text := m.text + "\n"; text != ""; {
		n := min(len(text), dockerPart)
		payload := m.at.UTC().Format("2006-01-02T15:04:05.000000000Z07:00") + " " + text[:n]
		stream = append(stream, byte(m.output), 0, 0, 0)
		stream = binary.BigEndian.AppendUint32(stream, uint32(len(payload)))
		stream = append(stream, payload...)
		text = text[n:]
	}
	return agentFrames(stream)
}

// agentFrames is the agent's splitting of Docker's stream.
func agentFrames(stream []byte) [][]byte {
	var frames [][]byte
	for data := range bytes.SplitAfterSeq(stream, newline) {
		switch {
		case len(data) == 0:
		case data[0] > 2 || len(data) < 4 || !bytes.Equal(data[1:4], []byte{0, 0, 0}):
			frames = append(frames, append([]byte("00 "), data...))
		case len(data) <= headerLen:
			frames = append(frames, nil)
		default:
			frames = append(frames, append([]byte{'0', '0' + data[0], ' '}, data[headerLen:]...))
		}
	}
	return frames
}

// fakeContainer is a container with a log.
type fakeContainer struct {
	state string
	log   []message
	// changed is closed and made anew at each change.
	changed chan struct{}
}

// fakeHost is Rancher, its proxy and one host, as far as logs go.
type fakeHost struct {
	client *http.Client
	base   string

	mu         sync.Mutex
	containers map[string]*fakeContainer
	grants     map[string]grant
	opened     int
	// connects counts the connections of each container.
	connects map[string]int
	// options are those of all calls of the logs action, in order.
	options []Options
	// openError fails the logs action; refuse answers 401 to a token; stateError
	// fails a question for the state.
	openError  func(id string) error
	refuse     func(token string) bool
	stateError func(id string) error
	// cut says after how many frames the nth connection is cut and whether with a
	// close frame of code 1000; negative is never.
	cut func(o Options, nth int) (frames int, clean bool)
	// hang says after how many frames the nth connection falls silent; negative is
	// never.
	hang func(nth int) int
}

type grant struct {
	id string
	o  Options
}

func (h *fakeHost) container(id string) *fakeContainer {
	c := h.containers[id]
	if c == nil {
		c = &fakeContainer{state: "running", changed: make(chan struct{})}
		h.containers[id] = c
	}
	return c
}

// write appends lines to a container's log.
func (h *fakeHost) write(id string, ms ...message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.container(id)
	c.log = append(c.log, ms...)
	close(c.changed)
	c.changed = make(chan struct{})
}

// connected is how often a container's log was connected to.
func (h *fakeHost) connected(id string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.connects[id]
}

// asked are the options of all calls of the logs action.
func (h *fakeHost) asked() []Options {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.options)
}

func (h *fakeHost) setState(id, state string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.container(id)
	c.state = state
	close(c.changed)
	c.changed = make(chan struct{})
}

func (h *fakeHost) OpenLogs(_ context.Context, id string, o Options) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.options = append(h.options, o)
	if h.openError != nil {
		if err := h.openError(id); err != nil {
			return "", err
		}
	}
	h.opened++
	token := "secret-" + strconv.Itoa(h.opened)
	h.grants[token] = grant{id, o}
	return h.base + "/v1/logs/?token=" + token, nil
}

func (h *fakeHost) ContainerState(_ context.Context, id string) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stateError != nil {
		if err := h.stateError(id); err != nil {
			return "", err
		}
	}
	return h.container(id).state, nil
}

func (h *fakeHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := r.URL.Query().Get("token")
	h.mu.Lock()
	g, ok := h.grants[token]
	delete(h.grants, token)
	refused := !ok || h.refuse != nil && h.refuse(token)
	nth := h.connects[g.id]
	if !refused {
		h.connects[g.id]++
	}
	s := sender{left: -1}
	if h.cut != nil && !refused {
		s.left, s.clean = h.cut(g.o, nth)
	}
	s.silent = -1
	if h.hang != nil {
		s.silent = h.hang(nth)
	}
	h.mu.Unlock()
	if refused {
		http.Error(w, "Failed authentication", http.StatusUnauthorized)
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return
	}
	defer ws.CloseNow()
	s.ws = ws
	h.send(ws.CloseRead(context.Background()), &s, g)
}

var errCut = errors.New("cut")

// sender writes frames until it is cut.
type sender struct {
	ws    *websocket.Conn
	left  int
	clean bool
	// silent is how many frames are left before nothing is sent any more.
	silent int
}

func (s *sender) frame(ctx context.Context, b []byte) error {
	if s.left == 0 {
		if s.clean {
			_ = s.ws.Close(websocket.StatusNormalClosure, "")
		}
		return errCut
	}
	s.left--
	if s.silent == 0 {
		return nil
	}
	s.silent--
	return s.ws.Write(ctx, websocket.MessageText, b)
}

// send is Docker's logs with tail, since and follow.
func (h *fakeHost) send(ctx context.Context, s *sender, g grant) {
	h.mu.Lock()
	next := max(0, len(h.container(g.id).log)-g.o.Lines)
	h.mu.Unlock()
	for {
		h.mu.Lock()
		c := h.container(g.id)
		fresh, state, changed := slices.Clone(c.log[next:]), c.state, c.changed
		next = len(c.log)
		h.mu.Unlock()
		for _, m := range fresh {
			if isBefore(m.at, g.o.Since) {
				continue
			}
			for _, f := range dockerFrames(m) {
				if s.frame(ctx, f) != nil {
					return
				}
			}
		}
		if !g.o.Follow || state != "running" {
			_ = s.ws.Close(websocket.StatusNormalClosure, "")
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// isBefore is Docker's reading of since.
func isBefore(t time.Time, since string) bool {
	if since == "" {
		return false
	}
	secs, nanos, _ := strings.Cut(since, ".")
	s, err := strconv.ParseInt(secs, 10, 64)
	n, err2 := strconv.ParseInt(nanos, 10, 64)
	if err != nil || err2 != nil || len(nanos) != 9 {
		panic(fmt.Sprintf("since is %q", since))
	}
	return t.Before(time.Unix(s, n))
}

// newHost starts a host over in-memory connections; call stop before a bubble
// ends.
func newHost(t *testing.T) (h *fakeHost, stop func()) {
	t.Helper()
	w := ranchersim.NewWire()
	h = &fakeHost{client: &http.Client{Transport: w.Transport()}, base: "ws://rancher.example:8080", containers: map[string]*fakeContainer{}, grants: map[string]grant{}, connects: map[string]int{}}
	return h, w.Serve(h)
}

// got is what a stream delivered.
type got struct {
	output Output
	nanos  int64
	text   string
}

// decodeAll decodes frames of one connection.
func decodeAll(frames [][]byte) []got {
	var d Decoder
	var out []got
	emit := func(r Record) { out = append(out, got{r.Output, r.Nanos, string(r.Text)}) }
	for _, f := range frames {
		d.Decode(bytes.Clone(f), emit)
	}
	d.Flush(emit)
	return out
}
