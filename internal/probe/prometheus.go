package probe

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// PrometheusSpec says where a Prometheus server is.
type PrometheusSpec struct {
	// Name is what gates refer to, URL the server.
	Name, URL string
	// Username goes with a password; without one, Secret is a bearer token. It is
	// asked for at every query; nil sends none.
	Username string
	Secret   func() (string, error)
	Timeout  time.Duration
}

// maxAnswer bounds what is read of an answer: one value takes a few hundred bytes,
// and one that does not aggregate is refused anyway.
const maxAnswer = 1 << 20

// Prometheus asks Prometheus servers for single values. It implements
// observe.MetricReader and may be used by many at once.
type Prometheus struct {
	client  *http.Client
	maxKeys int

	mu      sync.Mutex
	servers map[string]PrometheusSpec
	// callers are the last readings, by key.
	callers map[string]*metricCaller
}

// metricCaller is what one key was told last.
type metricCaller struct {
	seen time.Time
	last map[string]asked
}

// asked is a query and its reading.
type asked struct {
	query  observe.MetricQuery
	metric observe.Metric
}

var _ observe.MetricReader = (*Prometheus)(nil)

// NewPrometheus makes a Prometheus that knows no server yet. transport replaces
// the network in tests.
func NewPrometheus(transport http.RoundTripper) *Prometheus {
	if transport == nil {
		transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxResponseHeaderBytes: maxHeaderBytes,
			MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
		}
	}
	return &Prometheus{
		client:  &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		maxKeys: defaultMaxKeys, servers: map[string]PrometheusSpec{}, callers: map[string]*metricCaller{},
	}
}

// Update replaces the servers.
func (p *Prometheus) Update(specs []PrometheusSpec) {
	servers := make(map[string]PrometheusSpec, len(specs))
	for _, s := range specs {
		servers[s.Name] = s
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.servers = servers
}

// Forget drops what is remembered of a caller.
func (p *Prometheus) Forget(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.callers, key)
}

// Metrics implements observe.MetricReader. Queries that are due are asked at once;
// the others are told as they were last.
func (p *Prometheus) Metrics(ctx context.Context, key string, queries []observe.MetricQuery) []observe.Metric {
	now := time.Now()
	metrics := make([]observe.Metric, len(queries))
	isDue := p.recall(key, now, queries, metrics)
	var all sync.WaitGroup
	for i := range queries {
		if isDue[i] {
			all.Go(func() { metrics[i] = p.ask(ctx, now, queries[i]) })
		}
	}
	all.Wait()
	p.remember(key, now, queries, metrics)
	return metrics
}

// recall fills in the readings that are still good, and says which are not. A
// query whose containers changed is another query.
func (p *Prometheus) recall(key string, now time.Time, queries []observe.MetricQuery, metrics []observe.Metric) []bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	isDue := make([]bool, len(queries))
	for i, q := range queries {
		was, ok := p.callers[key].of(q.Name)
		isDue[i] = !ok || was.query != q || now.Sub(was.metric.At) >= q.Every-q.Every/10
		metrics[i] = was.metric
	}
	return isDue
}

func (c *metricCaller) of(name string) (asked, bool) {
	if c == nil {
		return asked{}, false
	}
	a, ok := c.last[name]
	return a, ok
}

func (p *Prometheus) remember(key string, now time.Time, queries []observe.MetricQuery, metrics []observe.Metric) {
	c := &metricCaller{seen: now, last: make(map[string]asked, len(queries))}
	for i, q := range queries {
		c.last[q.Name] = asked{q, metrics[i]}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.callers[key] == nil && len(p.callers) >= p.maxKeys {
		oldest := ""
		for k, other := range p.callers {
			if oldest == "" || other.seen.Before(p.callers[oldest].seen) {
				oldest = k
			}
		}
		delete(p.callers, oldest)
	}
	p.callers[key] = c
}

// ask takes one reading: the new version's value and, when wanted, the old one's.
func (p *Prometheus) ask(ctx context.Context, now time.Time, q observe.MetricQuery) observe.Metric {
	m := observe.Metric{Name: q.Name, At: now}
	p.mu.Lock()
	server, ok := p.servers[q.Server]
	p.mu.Unlock()
	if !ok {
		m.New.Problem = problemf(observe.CauseUnusable, "Prometheus server %q is not configured", q.Server)
		return m
	}
	var both sync.WaitGroup
	if q.Old != "" {
		m.Old = &observe.Value{}
		both.Go(func() { *m.Old = p.value(ctx, server, q.Old, q.StaleAfter) })
	}
	if q.New == "" {
		m.New.Problem = problemf(observe.CausePending, "no container of the new version serves yet")
	} else {
		m.New = p.value(ctx, server, q.New, q.StaleAfter)
	}
	both.Wait()
	return m
}

// value asks one query.
func (p *Prometheus) value(ctx context.Context, s PrometheusSpec, query string, staleAfter time.Duration) observe.Value {
	ctx, cancel := context.WithTimeoutCause(ctx, s.Timeout, fmt.Errorf("no answer within %v", s.Timeout))
	defer cancel()
	number, problem := p.query(ctx, s, query, staleAfter)
	if problem != nil {
		problem.Message = "asking Prometheus " + s.Name + ": " + problem.Message
		return observe.Value{Problem: problem}
	}
	return observe.Value{Number: number}
}

func (p *Prometheus) query(ctx context.Context, s PrometheusSpec, query string, staleAfter time.Duration) (float64, *observe.Problem) {
	req, problem := queryRequest(ctx, s, query, staleAfter)
	if problem != nil {
		return 0, problem
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, transportProblem(ctx, err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if n, err := body.ReadFrom(io.LimitReader(resp.Body, maxAnswer+1)); err != nil {
		return 0, transportProblem(ctx, err)
	} else if n > maxAnswer {
		return 0, problemf(observe.CauseInvalid, "the answer is larger than %d bytes: the query must give one value", maxAnswer)
	}
	if problem := answerStatus(resp.StatusCode, body.Bytes()); problem != nil {
		return 0, problem
	}
	now, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return parseAnswer(body.Bytes(), now, staleAfter)
}

// queryRequest asks with POST: a query may be longer than a URL. No time is sent,
// so that the server's own clock counts. lookback_delta has the server itself
// leave out samples that are older; one that does not know it ignores it (2.42
// does, measured), and then only its own marks of stale series help.
func queryRequest(ctx context.Context, s PrometheusSpec, query string, staleAfter time.Duration) (*http.Request, *observe.Problem) {
	form := url.Values{
		"query": {query}, "timeout": {inSeconds(s.Timeout)}, "lookback_delta": {inSeconds(staleAfter)},
	}
	address := strings.TrimSuffix(s.URL, "/") + "/api/v1/query"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, problemf(observe.CauseUnusable, "the address is no URL")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if s.Secret == nil {
		return req, nil
	}
	secret, err := s.Secret()
	switch {
	case err != nil:
		return nil, problemf(observe.CauseAuth, "%v", err)
	case s.Username != "":
		req.SetBasicAuth(s.Username, secret)
	default:
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	return req, nil
}

// inSeconds is a span as Prometheus reads it; of Go's spellings it does not know
// all.
func inSeconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }
