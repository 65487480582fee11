package bench

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
	"gitlab.gf.com.cn/clickeggs/drover/internal/registry/registrytest"
)

const (
	// lanes is how many rollouts are open at once, each behind a load balancer of its
	// own; perLane how many each has, one after the other.
	lanes, perLane = 3, 34
	settle         = time.Second
	// look is the default.
	look = 2 * time.Second
)

// BenchmarkReaction is how fast the daemon answers, a hundred times: from the
// registry's answer with a new digest to the upgrade's POST, the settle time apart;
// from the beginning of the look that fails the version to the rollback's POST,
// evidence and journal included; and from the moment Rancher calls a container
// unhealthy, or every request of the load balancer's page fails, to that POST. The
// page is read every look, and its first look sees good requests as well.
func BenchmarkReaction(b *testing.B) {
	w := &reaction{seen: newSightings(), pages: make([]page, lanes)}
	w.peers = startPeers(b, options{plain: true, speed: 50, aroundRancher: w.seen.posts, around: w.seen.answers})
	targets := w.populate(b, lanes*perLane, lanes*perLane, 2)
	w.run(b, targets)
	b.ReportMetric(0, "ns/op")
	report(b, "digest-to-post", w.starts)
	report(b, "bare-requests", w.bare)
	report(b, "verdict-to-rollback", w.verdicts(b, targets))
	report(b, "page-to-rollback", w.balancer)
	report(b, "unhealthy-to-rollback", w.health)
	b.ReportMetric(float64(len(w.starts)), "rollouts")
}

// reaction is the world and what was measured in it.
type reaction struct {
	*peers
	seen  *sightings
	pages []page

	mu                       sync.Mutex
	starts, balancer, health []time.Duration
	// bare are how long the same requests and the same writing to disk take without
	// Drover, in the same run.
	bare []time.Duration
}

func (w *reaction) run(b *testing.B, targets []target) {
	var head strings.Builder
	fmt.Fprintf(&head, "registries: [{host: %q, plainHTTP: true, poll: 1s}]\nlimits: {rolloutsPerEnvironment: %d, rollbacksPerHour: 1000}\nloadBalancers:\n", w.registry.Host(), lanes)
	for lane := range lanes {
		w.pages[lane].peers = w.peers
		server := httptest.NewServer(&w.pages[lane])
		b.Cleanup(server.Close)
		fmt.Fprintf(&head, "- {name: lane-%d, stats: %q}\n", lane, server.URL+"/admin?stats")
	}
	for i := range targets {
		lane := i % lanes
		targets[i].gates = fmt.Sprintf(", gates: {loadBalancer: {name: lane-%d}}", lane)
		w.pages[lane].services = append(w.pages[lane].services, targets[i].service)
	}
	policy := fmt.Sprintf("{rollout: {interval: 1s, settle: %s, bake: 10m}}", settle)
	w.startDaemon(b, w.config(b, strings.TrimSuffix(head.String(), "\n"), policy, targets))
	await(b, time.Minute, "all targets are adopted", func() bool { return strings.Count(readJournal(b, w.peers), `"type":"adopted"`) == len(targets) })
	var running sync.WaitGroup
	for lane := range lanes {
		running.Go(func() {
			for i := lane; i < len(targets) && !b.Failed(); i += lanes {
				w.rollout(b, &w.pages[lane], targets[i], i/lanes%2 == 0)
			}
		})
	}
	ctx, cancel := context.WithCancel(b.Context())
	var beside sync.WaitGroup
	beside.Go(func() {
		for pause(ctx, time.Second) {
			w.bare = append(w.bare, w.bareRequests(b, &targets[0]))
		}
	})
	running.Wait()
	cancel()
	beside.Wait()
}

// bareRequests is what stands between a new digest and the upgrade's POST at the
// least: two requests to the registry, three to Rancher, a line on disk.
func (w *reaction) bareRequests(b *testing.B, t *target) time.Duration {
	begun := time.Now()
	manifest := w.registry.URL() + "/v2/" + t.repository + "/manifests/" + t.tag
	service := w.url + "/v2-beta/projects/" + w.rancher.ProjectID() + "/services/" + t.id
	for _, url := range []string{manifest, manifest, service, service + "/instances", service} {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			b.Error(err)
			return 0
		}
		if url == manifest {
			req.Header.Set("Accept", manifestTypes)
		} else {
			req.SetBasicAuth(accessKey, secretKey)
		}
		response, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Error(err)
			return 0
		}
		_, err = io.Copy(io.Discard, response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil || response.StatusCode != http.StatusOK {
			b.Errorf("GET %s = %s, %v", url, response.Status, err)
			return 0
		}
	}
	f, err := os.OpenFile(filepath.Join(w.dir, "bare"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.Error(err)
		return 0
	}
	_, err = f.Write(make([]byte, 4096))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		b.Error(err)
	}
	return time.Since(begun)
}

// rollout pushes a version, lets it start, makes it fail, and sees it taken back.
func (w *reaction) rollout(b *testing.B, lane *page, t target, byPage bool) {
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	digest, err := w.registry.PushImage(ctx, t.repository, t.tag, registrytest.ImageSpec{Content: t.repository + " new"})
	if err != nil {
		b.Error(err)
		return
	}
	answered := w.seen.await(ctx, digest)
	posted := w.seen.await(ctx, "upgrade "+t.id)
	for fresh := ""; fresh == "" && pause(ctx, 100*time.Millisecond); {
		fresh = w.upgraded(t)
	}
	// A look between, so that the gates have seen the version well.
	pause(ctx, 2*look)
	failed := time.Now()
	if byPage {
		lane.fail(t.service)
	} else {
		w.rancher.ReportHealth(w.upgraded(t), false)
	}
	back := w.seen.await(ctx, "rollback "+t.id)
	if ctx.Err() != nil {
		b.Errorf("%s: answered %v, upgrade posted %v, rollback posted %v: not within a minute", t.service, answered, posted, back)
		return
	}
	for w.old(t) < 2 && pause(ctx, 100*time.Millisecond) {
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.starts = append(w.starts, posted.Sub(answered)-settle)
	if byPage {
		w.balancer = append(w.balancer, back.Sub(failed))
	} else {
		w.health = append(w.health, back.Sub(failed))
	}
}

// verdicts are the times from the look that decided a rollback, as the journal has
// it, to the rollback's POST.
func (w *reaction) verdicts(b *testing.B, targets []target) (times []time.Duration) {
	ids := map[string]string{}
	for _, t := range targets {
		ids[t.stack+"/"+t.service] = t.id
	}
	for line := range strings.Lines(readJournal(b, w.peers)) {
		var entry struct {
			Target, Type string
			Data         struct{ At time.Time }
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			b.Fatal(err)
		}
		if entry.Type == "rolling-back" {
			times = append(times, w.seen.await(b.Context(), "rollback "+ids[entry.Target]).Sub(entry.Data.At))
		}
	}
	return times
}

// upgraded is a new container of a service once all its containers are new and
// healthy.
func (w *reaction) upgraded(t target) (id string) {
	healthy := 0
	for _, c := range w.rancher.Containers() {
		if c.Service == t.service && c.Managed && c.Labels["io.drover.to"] != "" && c.Health == "healthy" {
			healthy, id = healthy+1, c.ID
		}
	}
	if healthy < 2 {
		return ""
	}
	return id
}

// old counts the containers that run the version from before.
func (w *reaction) old(t target) (n int) {
	for _, c := range w.rancher.Containers() {
		if c.Service == t.service && c.State == "running" && c.Labels["io.drover.to"] == "" {
			n++
		}
	}
	return n
}

// page is the statistics page of a load balancer: every server answers a hundred
// requests a look.
type page struct {
	peers    *peers
	services []string

	mu sync.Mutex
	// failed is the service whose new containers fail, and good how many requests
	// each server had answered when that began.
	failed string
	good   int64
}

// fail has the new containers of a service fail from now on.
func (p *page) fail(service string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed, p.good = service, requests()
}

func (p *page) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var text strings.Builder
	text.WriteString("# pxname,svname,status,check_status,type,weight,pid,lastchg,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,econ,eresp,wretr,wredis,chkfail,chkdown,ttime,\n")
	served := requests()
	for _, c := range p.peers.rancher.Containers() {
		if !slices.Contains(p.services, c.Service) || c.State != "running" {
			continue
		}
		failures := int64(0)
		if c.Service == p.failed && c.Labels["io.drover.to"] != "" {
			failures = served - p.good
		}
		fmt.Fprintf(&text, "%s,%s,UP,L7OK,2,1,1,%d,0,%d,0,0,%d,0,0,0,0,0,0,0,1,\n", c.Service, serverName(c), int(time.Since(pageBegun).Seconds()), served-failures, failures)
	}
	_, _ = w.Write([]byte(text.String()))
}

var pageBegun = time.Now()

// requests is how many requests each server has been asked: fifty a second.
func requests() int64 { return time.Since(pageBegun).Milliseconds() / 20 }

func serverName(c ranchersim.Container) string {
	sum := sha1.Sum([]byte(c.IP)) //nolint:gosec // It is a name, as Rancher makes it.
	return hex.EncodeToString(sum[:])
}

// sightings are when something was first seen at the peers.
type sightings struct {
	mu    sync.Mutex
	at    map[string]time.Time
	again chan struct{}
}

func newSightings() *sightings {
	return &sightings{at: map[string]time.Time{}, again: make(chan struct{})}
}

func (s *sightings) see(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.at[what]; !ok {
		s.at[what] = time.Now()
		close(s.again)
		s.again = make(chan struct{})
	}
}

// await waits for the first sighting; zero when ctx ends before.
func (s *sightings) await(ctx context.Context, what string) time.Time {
	for {
		s.mu.Lock()
		at, ok := s.at[what]
		again := s.again
		s.mu.Unlock()
		if ok {
			return at
		}
		select {
		case <-again:
		case <-ctx.Done():
			return time.Time{}
		}
	}
}

// answers notes when the daemon has been answered with a digest.
func (s *sightings) answers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		if digest := w.Header().Get("Docker-Content-Digest"); digest != "" && r.Method == http.MethodHead && strings.HasPrefix(r.UserAgent(), "drover") {
			s.see(digest)
		}
	})
}

// posts notes when an action's request arrives at Rancher.
func (s *sightings) posts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if action := r.URL.Query().Get("action"); action != "" && r.Method == http.MethodPost {
			s.see(action + " " + path.Base(r.URL.Path))
		}
		next.ServeHTTP(w, r)
	})
}

// report reports the median, the 99th percentile and the largest of some times.
func report(b *testing.B, name string, times []time.Duration) {
	if len(times) == 0 {
		b.Errorf("%s: nothing was measured", name)
		return
	}
	slices.Sort(times)
	for unit, d := range map[string]time.Duration{"p50": times[len(times)/2], "p99": times[(len(times)*99+99)/100-1], "max": times[len(times)-1]} {
		b.ReportMetric(float64(d.Microseconds())/1000, name+"-"+unit+"-ms")
	}
}
