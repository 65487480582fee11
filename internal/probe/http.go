package probe

import (
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
	// MaxSamples bounds the samples of a container in one look; default 10.
	MaxSamples int
	// MaxKeys bounds the callers remembered; default 10,000.
	MaxKeys int
	// Transport replaces the network in tests.
	Transport http.RoundTripper
}

func (o ProberOptions) withDefaults() ProberOptions {
	setDefault(&o.Timeout, 2*time.Second)
	setDefault(&o.Concurrency, 32)
	setDefault(&o.MaxBody, 64<<10)
	setDefault(&o.MaxSamples, 10)
	setDefault(&o.MaxKeys, defaultMaxKeys)
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

// Prober asks containers for a page at their own addresses. It implements
// observe.Prober and may be used by many at once.
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
	if _, err := probeRequest(ctx, spec, "192.0.2.1"); err != nil {
		return observe.Probes{Problem: problemf(observe.CauseUnusable, "the probe cannot be sent: %v", err)}
	}
	asked := slices.DeleteFunc(slices.Clone(containers), func(c observe.Container) bool { return !isProbed(c) })
	due := p.due(key, spec.Every, asked)
	samples := make([][]observe.Sample, len(asked))
	var all sync.WaitGroup
	for i, c := range asked {
		if due[i] > 0 {
			all.Go(func() { samples[i] = p.sample(ctx, spec, c, due[i]) })
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
	return pc.due(now, every, p.options.MaxSamples, containers)
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

// sample takes n samples of a container, one after the other.
func (p *Prober) sample(ctx context.Context, spec observe.ProbeSpec, c observe.Container, n int) []observe.Sample {
	var samples []observe.Sample
	for range n {
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			return samples
		}
		s, ok := p.one(ctx, spec, c)
		<-p.slots
		if !ok {
			return samples
		}
		samples = append(samples, s)
	}
	return samples
}

// one takes a sample; ok is false when the caller's ctx ended it.
func (p *Prober) one(parent context.Context, spec observe.ProbeSpec, c observe.Container) (s observe.Sample, ok bool) {
	timeout := spec.Timeout
	setDefault(&timeout, p.options.Timeout)
	ctx, cancel := context.WithTimeoutCause(parent, timeout, fmt.Errorf("timeout after %v", timeout))
	defer cancel()
	s = observe.Sample{Container: c.ID, At: time.Now()}
	status, err := p.ask(ctx, spec, c.IP)
	s.Latency = time.Since(s.At)
	if parent.Err() != nil {
		return s, false
	}
	if err != nil {
		s.Error = plainError(ctx, err)
		return s, true
	}
	s.Status = status
	return s, true
}

// ask sends one request and reads the answer to its end, or as far as it is read.
func (p *Prober) ask(ctx context.Context, spec observe.ProbeSpec, ip string) (status int, err error) {
	req, err := probeRequest(ctx, spec, ip)
	if err != nil {
		return 0, err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, p.options.MaxBody)); err != nil {
		return 0, fmt.Errorf("status %d, then: %w", resp.StatusCode, err)
	}
	return resp.StatusCode, nil
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
	if len(text) > maxError {
		text = strings.ToValidUTF8(text[:maxError], "")
	}
	return text
}
