package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	idleTargets  = 5000
	idlePoll     = 30 * time.Second
	idleInFlight = 8
	// idleRelist is how often Rancher is listed here, so that a window with a listing in
	// it is short; usualRelist is how often it is listed by default.
	idleRelist  = time.Minute
	usualRelist = 5 * time.Minute
	// afterListing is what belongs to a listing when it is over: what it leaves to do.
	afterListing = 5 * time.Second
)

// BenchmarkIdle is the whole daemon with 5,000 targets of two containers, over HTTPS
// to a registry and on the events of a Rancher, while nothing changes. It is measured
// from one listing of Rancher to the next, beside a bare loop of as many conditional
// HEADs at the same pace, in a process of its own and at the same time. Rancher is listed
// five times as often as by default; processor time is that of the rest, and a listing's
// once in five minutes.
func BenchmarkIdle(b *testing.B) {
	idle(b, func(*peers, []target) string { return "" })
}

// idle measures the daemon; more gives the targets gates, and returns what the file
// needs for them.
func idle(b *testing.B, more func(*peers, []target) string) {
	var listings listings
	p := startPeers(b, options{speed: 1, aroundRancher: listings.watch})
	targets := p.populate(b, idleTargets, 500, 2)
	p.relist = idleRelist
	head := fmt.Sprintf("registries: [{host: %q, caFile: %s, poll: %s}]%s", p.registry.Host(), p.ca, idlePoll, more(p, targets))
	config := p.config(b, head, "{}", targets)
	daemon := p.startDaemon(b, config)
	loop := p.startLoop(b, targets)

	// Settled: everything is adopted, and one whole round is over.
	await(b, 5*time.Minute, "all targets are adopted", func() bool { return strings.Count(readJournal(b, p), `"type":"adopted"`) == idleTargets })
	listings.next(b)
	listings.next(b)
	lines := strings.Count(readJournal(b, p), "\n")
	resident := peak{process: daemon}
	measure := func() usage { return usage{time.Now(), daemon.cpu(b), loop.cpu(b)} }
	var begun, listed, over usage
	var rests float64
	resident.during(b, func() {
		begun = measure()
		listings.await(b, &listings.begun)
		listed = measure()
		rests = daemon.memory(b, "VmRSS")
		listings.next(b)
		over = measure()
	})
	rest, listing := listed.since(begun), over.since(listed)

	if n := strings.Count(readJournal(b, p), "\n") - lines; n > 0 {
		b.Errorf("%d lines were written while nothing changed", n)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rest.wall.Seconds(), "rest-s")
	b.ReportMetric(rest.share(rest.daemon), "rest-%core")
	b.ReportMetric(rest.share(rest.loop), "loop-%core")
	b.ReportMetric(float64((listing.daemon - listing.loop).Milliseconds()), "listing-cpu-ms")
	b.ReportMetric(rest.share(rest.daemon-rest.loop)+100*(listing.daemon-listing.loop).Seconds()/usualRelist.Seconds(), "above-loop-%core")
	b.ReportMetric(rests, "resident-MB")
	b.ReportMetric(resident.highest, "listing-peak-MB")
	b.ReportMetric(daemon.memory(b, "RssFile"), "binary-MB")
	b.ReportMetric(daemon.memory(b, "VmHWM"), "start-peak-MB")

	// The second life remembers from the journal what the first one adopted.
	daemon.stop()
	daemon = p.runDaemon(b, config)
	listings.next(b)
	listings.next(b)
	b.ReportMetric(daemon.memory(b, "VmRSS"), "restarted-MB")
	b.ReportMetric(daemon.memory(b, "VmHWM"), "restart-peak-MB")
}

// usage is what was used up to a moment.
type usage struct {
	at           time.Time
	daemon, loop time.Duration
}

// used is what was used between two moments.
type used struct{ wall, daemon, loop time.Duration }

func (u usage) since(before usage) used {
	return used{u.at.Sub(before.at), u.daemon - before.daemon, u.loop - before.loop}
}

// share is processor time in hundredths of a core.
func (u used) share(of time.Duration) float64 { return 100 * of.Seconds() / u.wall.Seconds() }

func readJournal(b *testing.B, p *peers) string {
	raw, err := os.ReadFile(p.dir + "/state/journal.jsonl")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.Fatal(err)
	}
	return string(raw)
}

// listings counts how often Rancher was begun to be listed, and how often its
// containers were listed to the end.
type listings struct{ begun, ended atomic.Int64 }

func (l *listings) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/stacks") && r.Method == http.MethodGet {
			l.begun.Add(1)
		}
		if !strings.HasSuffix(r.URL.Path, "/containers") || r.Method != http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		seen := &lastPage{ResponseWriter: w}
		next.ServeHTTP(seen, r)
		if seen.isLast {
			l.ended.Add(1)
		}
	})
}

// lastPage notes an answer whose pagination has no next page.
type lastPage struct {
	http.ResponseWriter
	isLast bool
}

func (l *lastPage) Write(p []byte) (int, error) {
	if strings.Contains(string(p), `"next":null`) {
		l.isLast = true
	}
	return l.ResponseWriter.Write(p)
}

// next waits for the end of the next listing, and a little for what it leaves to do.
func (l *listings) next(b *testing.B) {
	b.Helper()
	l.await(b, &l.ended)
	pause(b.Context(), afterListing)
}

func (l *listings) await(b *testing.B, count *atomic.Int64) {
	b.Helper()
	n := count.Load()
	await(b, 8*time.Minute, "Rancher is listed again", func() bool { return count.Load() > n })
}

// peak follows how much memory is resident.
type peak struct {
	process *process
	highest float64
}

func (p *peak) during(b *testing.B, work func()) {
	ctx, cancel := context.WithCancel(b.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		for p.highest = p.process.memory(b, "VmRSS"); pause(ctx, 200*time.Millisecond); {
			p.highest = max(p.highest, p.process.memory(b, "VmRSS"))
		}
	})
	work()
	cancel()
	watching.Wait()
}

// loopVariable makes this test binary the bare loop.
const loopVariable = "DROVER_BENCH_LOOP"

func TestMain(m *testing.M) {
	if ca := os.Getenv(loopVariable); ca != "" {
		if err := bareLoop(ca); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// asked is one line of the loop's standard input.
type asked struct{ URL, ETag string }

// startLoop starts the bare loop; it ends with its standard input.
func (p *peers) startLoop(b *testing.B, targets []target) *process {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), loopVariable+"="+p.ca)
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	loop := start(b, cmd)
	b.Cleanup(func() { _ = in.Close() })
	lines := json.NewEncoder(in)
	for _, t := range targets {
		url := p.registry.URL() + "/v2/" + t.repository + "/manifests/" + t.tag
		if err := lines.Encode(asked{URL: url, ETag: p.etag(b, url)}); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := fmt.Fprintln(in, `{}`); err != nil {
		b.Fatal(err)
	}
	return loop
}

const manifestTypes = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"

func (p *peers) etag(b *testing.B, url string) string {
	b.Helper()
	etag, err := head(b.Context(), p.registry.Client(), asked{URL: url}, http.StatusOK)
	if err != nil {
		b.Fatal(err)
	}
	return etag
}

// head is the least that could be done: one conditional HEAD.
func head(ctx context.Context, client *http.Client, a asked, want int) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, a.URL, http.NoBody)
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", manifestTypes)
	if a.ETag != "" {
		req.Header.Set("If-None-Match", a.ETag)
	}
	response, err := client.Do(req)
	if err != nil {
		return "", err
	}
	response.Body.Close()
	if response.StatusCode != want {
		return "", fmt.Errorf("HEAD %s = %s, want %d", a.URL, response.Status, want)
	}
	return response.Header.Get("Etag"), nil
}

// bareLoop asks for everything it is given once per poll, evenly spread, until its
// standard input ends.
func bareLoop(ca string) error {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: idleInFlight,
	}}
	var all []asked
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var a asked
		if err := in.Decode(&a); err != nil {
			return err
		}
		if a.URL == "" {
			break
		}
		all = append(all, a)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go func() { // Ends with standard input, and with it the process.
		_ = in.Decode(&asked{})
		cancel(nil)
	}()
	work := make(chan asked)
	var working sync.WaitGroup
	for range idleInFlight {
		working.Go(func() {
			for a := range work {
				if _, err := head(ctx, client, a, http.StatusNotModified); err != nil && ctx.Err() == nil {
					cancel(err)
				}
			}
		})
	}
	tick := time.NewTicker(idlePoll / time.Duration(len(all)))
	defer tick.Stop()
	for i := 0; ctx.Err() == nil; i = (i + 1) % len(all) {
		select {
		case <-tick.C:
			work <- all[i]
		case <-ctx.Done():
		}
	}
	close(work)
	working.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
