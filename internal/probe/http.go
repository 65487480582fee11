package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// ProberOptions are the bounds of a Prober. The zero value is good.
type ProberOptions struct {
	// Timeout is that of a probe whose spec has none; default 2 s.
	Timeout time.Duration
	// Concurrency is how many probes are under way at once, over all callers;
	// default 32.
	Concurrency int
	// MaxBody is how much of an answer is read; default 64 KiB. What follows is
	// not waited for.
	MaxBody int64
	// MaxSamples bounds the samples of a container in one look, unless it is probed
	// so often that burstTime needs more; default 10.
	MaxSamples int
	// MaxKeys bounds the callers remembered; default 10,000.
	MaxKeys int
	// Transport replaces the network in tests.
	Transport http.RoundTripper
	// Dial opens the connections of TCP probes; the network's own when nil.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

func (o ProberOptions) withDefaults() ProberOptions {
	setDefault(&o.Timeout, 2*time.Second)
	setDefault(&o.Concurrency, 32)
	setDefault(&o.MaxBody, 64<<10)
	setDefault(&o.MaxSamples, 10)
	setDefault(&o.MaxKeys, defaultMaxKeys)
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{
			// No Proxy: the probe must reach the container itself. A new connection
			// each time: what is measured is what a new client gets.
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeaderBytes,
		}
	}
	return o
}

func setDefault[T int | int64 | time.Duration](v *T, value T) {
	if *v <= 0 {
		*v = value
	}
}

// burstTime bounds the samples of a container in one look by time: so long may
// one look take to make up for what became due since the last, and no longer
// does a container that answers slowly hold up the other readings of the look.
const burstTime = 2 * time.Second

// Prober asks containers for a page, or for a connection, at their own
// addresses. It implements observe.Prober and may be used by many at once.
type Prober struct {
	options ProberOptions
	client  *http.Client
	// slots holds one token per probe under way.
	slots chan struct{}

	mu     sync.Mutex
	pacers map[string]*pacer
}

var _ observe.Prober = (*Prober)(nil)

// NewProber makes a Prober.
func NewProber(o ProberOptions) *Prober {
	o = o.withDefaults()
	return &Prober{
		options: o,
		// A redirect is an answer: what it points to is not this container.
		client: &http.Client{Transport: o.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		slots:  make(chan struct{}, o.Concurrency),
		pacers: make(map[string]*pacer),
	}
}

// Probe implements observe.Prober. It takes the samples that are due and returns
// when all are taken or ctx is over; a probe that ctx cut short is no sample.
// Containers without an IP, sidekicks (the port is the primary's) and containers
// that do not run (another may have their IP) are not asked.
func (p *Prober) Probe(ctx context.Context, key string, spec observe.ProbeSpec, containers []observe.Container) observe.Probes {
	want, err := newExpectation(spec.Want)
	if err == nil {
		_, err = probeRequest(ctx, spec, "192.0.2.1")
	}
	if err != nil {
		return observe.Probes{Problem: problemf(observe.CauseUnusable, "the probe cannot be sent: %v", err)}
	}
	ask := questions{Prober: p, spec: spec, want: want}
	asked := slices.DeleteFunc(slices.Clone(containers), func(c observe.Container) bool { return !isProbed(c) })
	due := p.due(key, spec.Every, asked)
	samples := make([][]observe.Sample, len(asked))
	var all sync.WaitGroup
	for i, c := range asked {
		if due[i] > 0 {
			all.Go(func() { samples[i] = ask.sample(ctx, c, due[i]) })
		}
	}
	all.Wait()
	probes := observe.Probes{Samples: slices.Concat(samples...)}
	if ctx.Err() != nil && len(probes.Samples) == 0 && len(asked) > 0 {
		probes.Problem = problemf(observe.CauseUnreachable, "probing containers: %v", context.Cause(ctx))
	}
	return probes
}

// Forget drops what is remembered of a caller.
func (p *Prober) Forget(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pacers, key)
}

func isProbed(c observe.Container) bool {
	switch c.State {
	case "running", "updating-running", "":
		return c.IP != "" && c.LaunchName == ""
	}
	return false
}

// due says how many samples of each container are to be taken now.
func (p *Prober) due(key string, every time.Duration, containers []observe.Container) []int {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	pc := p.pacers[key]
	if pc == nil {
		p.makeRoom()
		pc = &pacer{}
		p.pacers[key] = pc
	}
	limit := p.options.MaxSamples
	if every > 0 {
		limit = max(limit, int(burstTime/every)+1)
	}
	return pc.due(now, every, limit, containers)
}

// makeRoom forgets the caller that was not seen for longest when there are too
// many.
func (p *Prober) makeRoom() {
	if len(p.pacers) < p.options.MaxKeys {
		return
	}
	oldest := ""
	for key, pc := range p.pacers {
		if oldest == "" || pc.seen.Before(p.pacers[oldest].seen) {
			oldest = key
		}
	}
	delete(p.pacers, oldest)
}

// questions are what one call of Probe asks each container.
type questions struct {
	*Prober
	spec observe.ProbeSpec
	want *expectation
}

// sample takes n samples of a container, one after the other, as far as burstTime
// reaches.
func (q questions) sample(ctx context.Context, c observe.Container, n int) []observe.Sample {
	var samples []observe.Sample
	for begun := time.Now(); len(samples) < n && time.Since(begun) < burstTime; {
		select {
		case q.slots <- struct{}{}:
		case <-ctx.Done():
			return samples
		}
		s, ok := q.one(ctx, c)
		<-q.slots
		if !ok {
			return samples
		}
		samples = append(samples, s)
	}
	return samples
}

// one takes a sample; ok is false when the caller's ctx ended it.
func (q questions) one(parent context.Context, c observe.Container) (s observe.Sample, ok bool) {
	timeout := q.spec.Timeout
	setDefault(&timeout, q.options.Timeout)
	ctx, cancel := context.WithTimeoutCause(parent, timeout, fmt.Errorf("timeout after %v", timeout))
	defer cancel()
	s = observe.Sample{Container: c.ID, At: time.Now()}
	var err error
	if q.spec.TCP {
		err = q.connect(ctx, c)
	} else {
		s.Status, s.Unmet, err = q.ask(ctx, c)
	}
	s.Latency = time.Since(s.At)
	if parent.Err() != nil {
		return s, false
	}
	if err != nil {
		s.Status, s.Unmet, s.Error = 0, "", plainError(ctx, err)
	}
	return s, true
}

// connect opens a connection and closes it.
func (q questions) connect(ctx context.Context, c observe.Container) error {
	conn, err := q.options.Dial(ctx, "tcp", net.JoinHostPort(c.IP, strconv.Itoa(q.spec.Port)))
	if err != nil {
		return err
	}
	return conn.Close()
}

// ask sends one request, reads the answer to its end, or as far as it is read,
// and compares it with what is expected.
func (q questions) ask(ctx context.Context, c observe.Container) (status int, unmet string, err error) {
	req, err := probeRequest(ctx, q.spec, c.IP)
	if err != nil {
		return 0, "", err
	}
	resp, err := q.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	kept := io.Discard
	if q.want.readsBody() {
		kept = &body
	}
	n, err := io.Copy(kept, io.LimitReader(resp.Body, q.options.MaxBody+1))
	if err != nil {
		return 0, "", fmt.Errorf("status %d, then: %w", resp.StatusCode, err)
	}
	isCut := n > q.options.MaxBody
	if isCut && q.want.readsBody() {
		body.Truncate(int(q.options.MaxBody))
	}
	return resp.StatusCode, q.want.unmet(c, resp.Header, body.Bytes(), isCut), nil
}

// probeRequest makes the request of a spec to an IP.
func probeRequest(ctx context.Context, spec observe.ProbeSpec, ip string) (*http.Request, error) {
	if spec.Port < 1 || spec.Port > 65535 {
		return nil, fmt.Errorf("%d is no port", spec.Port)
	}
	path := "/" + strings.TrimPrefix(spec.Path, "/")
	address := "http://" + net.JoinHostPort(ip, strconv.Itoa(spec.Port)) + path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("the path is not that of a URL")
	}
	req.Header.Set("User-Agent", "drover-probe")
	for name, value := range spec.Headers {
		if !isHeader(name, value) {
			return nil, fmt.Errorf("header %.40q is not one", name)
		}
		if http.CanonicalHeaderKey(name) == "Host" {
			req.Host = value
			continue
		}
		req.Header.Set(name, value)
	}
	return req, nil
}

// isHeader says that a header can be sent: net/http would refuse others, and that
// would look like a failure of the container.
func isHeader(name, value string) bool {
	isControl := func(r rune) bool { return (r < ' ' && r != '\t') || r == 0x7f }
	notInName := func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("()<>@,;:\\\"/[]?={}", r) }
	return name != "" && !strings.ContainsFunc(name, notInName) && !strings.ContainsFunc(value, isControl)
}

// maxError bounds the text of a failed sample; a server may choose part of it.
const maxError = 200

// plainError says why there was no answer in few words, without the URL.
func plainError(ctx context.Context, err error) string {
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	text := err.Error()
	switch {
	case ctx.Err() != nil:
		text = context.Cause(ctx).Error()
	case errors.Is(err, io.EOF):
		text = "connection closed without an answer"
	}
	return clip(text)
}
