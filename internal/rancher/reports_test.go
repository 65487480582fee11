package rancher

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// addContainers puts running containers of shop/web into the fake, each with its own Docker id.
func (f *fake) addContainers(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range n {
		id := fmt.Sprintf("1i%d", i+1)
		c := containerJSON(id, "1s5")
		c["externalId"] = dockerID(i + 1)
		f.containers[id] = c
	}
}

// dockerID is Docker's id of a container.
func dockerID(n int) string { return fmt.Sprintf("%064x", n) }

// report puts the next report into the fake: a status of a container, with what Docker says of its image.
func (f *fake) report(status string, container int, image string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reports == nil {
		f.reports = map[string]map[string]any{}
	}
	id := fmt.Sprintf("1ce%d", len(f.reports)+1)
	f.reports[id] = map[string]any{
		"id": id, "type": "containerEvent", "externalStatus": status, "externalId": dockerID(container),
		"dockerInspect": map[string]any{
			"Id": dockerID(container), "Image": image,
			"Config": map[string]any{"Labels": map[string]any{labelStackService: "shop/web"}},
		},
	}
}

// asked are the requests for what agents reported.
func (f *fake) asked() []string {
	var asked []string
	for _, r := range f.requests() {
		if strings.Contains(r, "/containerevents") {
			asked = append(asked, r)
		}
	}
	return asked
}

// images are those that the informer shows of shop/web, in the order of the containers.
func (fw *follower) images(t *testing.T) []string {
	t.Helper()
	var images []string
	for _, c := range fw.Service(t.Context(), "shop", "web", false).Containers {
		images = append(images, c.ImageID)
	}
	return images
}

// said are the lines with a text.
func (fw *follower) said(what string) (lines []string) {
	fw.mu.Lock()
	defer fw.mu.Unlock()
	for _, line := range fw.lines {
		if strings.Contains(line, what) {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestImagesAreKnownAfterARestart: an informer that begins, of which no event ever came, shows what Docker runs, and
// tells of the service once it is known; nothing more is asked for.
func TestImagesAreKnownAfterARestart(t *testing.T) {
	f := newFake(t)
	f.addService("1s5", "web")
	f.addContainers(3)
	f.report("start", 1, digestB)
	f.report("start", 2, digestA)
	f.report("start", 77, digestA) // Nobody's here.
	f.report("die", 3, digestB)    // Not asked for; its image would be the wrong one.
	f.report("start", 3, digestB)
	f.report("start", 3, "no image")
	fw := f.follow(InformerOptions{}, web)
	want := fmt.Sprint([]string{digestB, digestA, digestB})
	eventually(t, "the images are seen", func() bool { return fmt.Sprint(fw.images(t)) == want })
	if asked := f.asked(); len(asked) != 1 || !strings.Contains(asked[0], "externalStatus=start") || !strings.Contains(asked[0], "order=desc&sort=id") {
		t.Errorf("asked %q, want one page of starts, newest first", asked)
	}
	fw.mu.Lock()
	changes := fw.changed[web]
	fw.mu.Unlock()
	if changes < 2 {
		t.Errorf("OnChange was called %d times, want one more for the images", changes)
	}
	fw.cache.mu.RLock()
	n := len(fw.cache.images)
	fw.cache.mu.RUnlock()
	if n != 3 {
		t.Errorf("%d images are kept of 3 containers", n)
	}
	// The next session has nothing to ask for.
	f.hangUp()
	eventually(t, "the stream is open again", func() bool { return f.listening() == 1 })
	f.mu.Lock()
	added := containerJSON("1i4", "1s5")
	added["externalId"] = "" // It has not been created in Docker yet.
	f.mu.Unlock()
	f.push(change("container", added))
	eventually(t, "events are taken in", func() bool { return len(fw.images(t)) == 4 })
	if asked := f.asked(); len(asked) != 1 {
		t.Errorf("asked %q, want nothing more once all is known", asked)
	}
}

// TestReportsMayBeRefused: a server or a key that gives no list of reports leaves things as they are without it, which
// is said once, however often the stream comes and goes; events still tell.
func TestReportsMayBeRefused(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			f := newFake(t)
			f.addService("1s5", "web")
			f.addContainers(1)
			f.report("start", 1, digestA)
			f.intercept = func(w http.ResponseWriter, r *http.Request) bool {
				refused := strings.Contains(r.URL.Path, "/containerevents")
				if refused {
					f.fail(w, status, "Refused", "")
				}
				return refused
			}
			fw := f.follow(InformerOptions{}, web)
			for session := 1; session <= 2; session++ {
				eventually(t, "the list is asked for", func() bool { return len(f.asked()) == session && f.listening() == 1 })
				f.push(change("stack", f.stacks["1st5"]))
				if s := fw.Service(t.Context(), "shop", "web", false); s.Problem != nil || len(s.Containers) != 1 || s.Containers[0].ImageID != "" {
					t.Fatalf("Service = %+v", s)
				}
				f.hangUp()
			}
			eventually(t, "the stream is open again", func() bool { return f.listening() == 1 })
			lines := fw.said("docker reported")
			if len(lines) != 1 || !strings.Contains(lines[0], fmt.Sprint(status)) {
				t.Errorf("log = %q, want one line with the status", lines)
			}
			f.push(change("containerEvent", f.reports["1ce1"]))
			eventually(t, "an event tells", func() bool { return fw.images(t)[0] == digestA })
		})
	}
}

// TestNextSessionReadsWhatCameSince: what one walk read, the next does not; it ends at the first report that is known.
// A service that is followed from now on makes it read all of them again.
func TestNextSessionReadsWhatCameSince(t *testing.T) {
	f := newFake(t)
	f.pageCap = 4
	f.addService("1s5", "web")
	f.addService("1s6", "api")
	f.addContainers(2) // Of the second no report is left, so each walk goes as far as it must.
	for n := range 10 {
		f.report("start", 100+n, digestA)
	}
	fw := f.follow(InformerOptions{}, web)
	eventually(t, "all reports are read", func() bool { return len(f.asked()) == 3 })
	f.report("start", 1, digestB)
	f.hangUp()
	eventually(t, "what came since is read", func() bool { return fw.images(t)[0] == digestB })
	if n := len(f.asked()); n != 4 {
		t.Fatalf("%d pages were read for one new report, want 1: %q", n-3, f.asked()[3:])
	}
	f.mu.Lock()
	c := containerJSON("1i9", "1s6")
	c["externalId"] = dockerID(101) // The second report of all, on the last page.
	f.containers["1i9"] = c
	f.mu.Unlock()
	fw.Update([]Key{web, {"shop", "api"}})
	eventually(t, "the image of the new service's container is seen", func() bool {
		s := fw.Service(t.Context(), "shop", "api", false)
		return len(s.Containers) == 1 && s.Containers[0].ImageID == digestA
	})
}

// inReports runs a test against the embedded Rancher with one container of shop/web, whose reports the test answers:
// the JSON of those of the n-th page that is asked for, and whether there is another page.
func inReports(t *testing.T, page func(w *simWorld, n int) (reports string, hasNext bool), test func(w *simWorld)) {
	inSim(t, InformerOptions{}, []Key{web}, func(w *simWorld) {
		w.answer = func(out http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/containerevents") {
				return false
			}
			reports, hasNext := page(w, w.pages())
			if reports == "" {
				http.Error(out, "bad gateway", http.StatusBadGateway)
				return true
			}
			next := "null"
			if hasNext {
				next = fmt.Sprintf(`"%s/containerevents?marker=m%d"`, w.base, w.pages())
			}
			_, _ = fmt.Fprintf(out, `{"type":"collection","resourceType":"containerEvent","data":[%s],"pagination":{"next":%s}}`, reports, next)
			return true
		}
		w.service(w.stack("shop"), "web", 1)
		time.Sleep(time.Minute)
		stop := w.run()
		defer stop()
		test(w)
	})
}

// pages is how many pages of reports were asked for.
func (w *simWorld) pages() int {
	n := 0
	for _, r := range w.requests() {
		if strings.Contains(r, "/containerevents") {
			n++
		}
	}
	return n
}

// docker is Docker's id of the only container.
func (w *simWorld) docker() string {
	w.informer.cache.mu.RLock()
	defer w.informer.cache.mu.RUnlock()
	for _, held := range w.informer.cache.containers {
		return held.external
	}
	return ""
}

// TestWalkIsBounded: however many reports there are, a walk ends, and the next one does not read them again.
func TestWalkIsBounded(t *testing.T) {
	page := func(_ *simWorld, n int) (string, bool) {
		id := 1<<40 - n
		if n > maxReportPages {
			id = 1<<40 + n // Reported since the walk.
		}
		return fmt.Sprintf(`{"id":"1ce%d"},{"id":"1ce%d"}`, id, 1<<40-n), true
	}
	inReports(t, page, func(w *simWorld) {
		const most = (maxReportPages - 2) * reportsPause
		time.Sleep(most)
		if n := w.pages(); n >= maxReportPages {
			t.Errorf("%d pages were read within %s, want a pause of %s between two", n, most, reportsPause)
		}
		time.Sleep(time.Hour)
		if n := w.pages(); n != maxReportPages {
			t.Errorf("%d pages were read within an hour, want %d", n, maxReportPages)
		}
		if _, err := w.server.SetFault(ranchersim.Fault{Name: ranchersim.FaultRestart, Now: true, For: time.Second}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if n := w.pages(); n != maxReportPages+1 {
			t.Errorf("%d pages were read in the next session, want 1", n-maxReportPages)
		}
	})
}

// TestWalkEndsByBytes: what a walk reads counts, and it ends where that is too much.
func TestWalkEndsByBytes(t *testing.T) {
	report := fmt.Sprintf(`{"id":"1ce1","padding":%q}`, strings.Repeat("x", 100<<10))
	var client *Informer
	inReports(t, func(*simWorld, int) (string, bool) { return report + "," + report, false }, func(w *simWorld) {
		time.Sleep(time.Minute)
		client = w.informer
	})
	r := client.reports
	if want := int64(2 * len(report)); r.bytes != want || r.isSpent() {
		t.Errorf("%d bytes were counted (spent: %t), want %d", r.bytes, r.isSpent(), want)
	}
	if r.bytes = maxReportBytes; !r.isSpent() {
		t.Errorf("a walk goes on after %d bytes", r.bytes)
	}
}

// TestReportsThatFailAreAskedForAgain: a fault that passes costs a minute, not the session.
func TestReportsThatFailAreAskedForAgain(t *testing.T) {
	page := func(w *simWorld, n int) (string, bool) {
		if n <= readTries {
			return "", false
		}
		return fmt.Sprintf(`{"id":"1ce1","dockerInspect":{"Id":%q,"Image":%q}}`, w.docker(), digestA), false
	}
	inReports(t, page, func(w *simWorld) {
		image := func() string {
			return w.informer.Service(t.Context(), "shop", "web", false).Containers[0].ImageID
		}
		time.Sleep(retryReports / 2)
		if got := image(); got != "" || w.pages() != readTries {
			t.Fatalf("the image is %q after %d tries, want none after %d", got, w.pages(), readTries)
		}
		time.Sleep(retryReports)
		if got := image(); got != digestA {
			t.Errorf("the image is %q a minute after a fault, want %s", got, digestA)
		}
	})
}

// TestReportsThatAreTooLargeAreAskedForFewer: a page above the limit of an answer is asked for with fewer reports.
func TestReportsThatAreTooLargeAreAskedForFewer(t *testing.T) {
	f := newFake(t)
	f.addService("1s5", "web")
	f.addContainers(1)
	f.report("start", 1, digestA)
	f.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		isLarge := strings.Contains(r.URL.Path, "/containerevents") && r.URL.Query().Get("limit") == fmt.Sprint(reportsPage)
		if isLarge {
			_, _ = fmt.Fprintf(w, `{"type":"collection","resourceType":"containerEvent","data":[{"id":"1ce1","padding":%q}]}`, strings.Repeat("x", maxAnswer))
		}
		return isLarge
	}
	fw := f.follow(InformerOptions{}, web)
	eventually(t, "the image is seen", func() bool { got := fw.images(t); return len(got) == 1 && got[0] == digestA })
	if lines := fw.said("docker reported"); len(lines) != 0 {
		t.Errorf("log = %q, want nothing", lines)
	}
}

// TestImagesTakeNoRoomOfTheirOwn: the ids of many containers' images take what a map of texts that are there already takes.
func TestImagesTakeNoRoomOfTheirOwn(t *testing.T) {
	c := newCache()
	c.follow(setOf([]Key{web}))
	l := listing{keys: c.keys(), stacks: map[string]string{"1st5": "shop"}, services: map[string]*record{}, containers: map[string]wireContainer{}}
	s := reread[wireService](serviceJSON("1s5", "1st5", "web"))
	l.services["1s5"] = &record{view: s.view("shop", time.Time{}, false)}
	for n := range 3000 {
		w := reread[wireContainer](containerJSON(fmt.Sprintf("1i%d", n+1), "1s5"))
		w.ExternalID = dockerID(n)
		l.containers[w.ID] = w
	}
	c.replace(l, time.Now())
	l.containers = nil
	before := heap()
	for from := 0; from < 4000; from += reportsPage {
		page := map[string]string{}
		for n := from; n < from+reportsPage; n++ {
			if _, err := takeReport(page, []byte(startOf(n))); err != nil {
				t.Fatal(err)
			}
		}
		c.applyImages(page)
	}
	held := heap() - before
	if len(c.images) != 3000 {
		t.Errorf("%d images are kept, want 3000", len(c.images))
	}
	if perContainer := held / 3000; perContainer > 100 {
		t.Errorf("an image takes %d bytes for each container, want at most 100", perContainer)
	}
	if n := c.applyImages(map[string]string{dockerID(7): digestA}); len(n.changed) != 0 {
		t.Errorf("what is known already changes %v", n.changed)
	}
	if got := c.picture("1s5").Containers[7]; got.ImageID != digestA || c.hasUnseenImages() {
		t.Errorf("container %s runs %q", got.ID, got.ImageID)
	}
	runtime.KeepAlive(c)
}

// startOf is the report of a start of a container with digestA.
func startOf(container int) string {
	return fmt.Sprintf(`{"id":"1ce%d","externalStatus":"start","dockerInspect":{"Id":%q,"Image":%q,"Config":{"Labels":{%q:"shop/web"}}}}`,
		container+1, dockerID(container), digestA, labelStackService)
}
