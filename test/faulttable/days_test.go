package faulttable

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// TestSeededDays mixes what the rows show one by one: versions good and bad, Rancher's faults, people in Rancher and
// with commands, a Drover that is killed. Whatever happens, the rules of day.check hold, and when everything is well
// again the next good version is finished. DROVER_DAYS is how many seeds are played, or one seed as =7.
func TestSeededDays(t *testing.T) {
	first, last := 0, 5
	if text := os.Getenv("DROVER_DAYS"); text != "" {
		n, err := strconv.Atoi(strings.TrimPrefix(text, "="))
		if err != nil {
			t.Fatalf("DROVER_DAYS: %v", err)
		}
		if first, last = 0, n; strings.HasPrefix(text, "=") {
			first, last = n, n+1
		}
	}
	for seed := first; seed < last; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(seed), 1)) //nolint:gosec // Repeatable is what it must be.
			o := options{
				scale: 1 + rng.IntN(3), versions: 9, sidekick: rng.IntN(4) == 0,
				rollout: fmt.Sprintf("startFirst: %t\nbatchSize: %d\nrollbacksPerDay: 20", rng.IntN(2) == 0, 1+rng.IntN(3)),
			}
			play(t, o, func(w *world) {
				d := &day{w: w, rng: rng, bad: map[string]bool{}}
				d.pass()
				d.recover()
				d.check()
			})
		})
	}
}

// day is one seed's story.
type day struct {
	w   *world
	rng *rand.Rand
	// pushed counts the versions after v1; bad are those that no gate may pass.
	pushed int
	bad    map[string]bool
	// isSick says that Rancher itself may have shown a good version's containers unhealthy.
	isSick bool
	story  []string
}

func (d *day) tell(format string, args ...any) {
	line := time.Now().Format("15:04:05 ") + fmt.Sprintf(format, args...)
	d.story = append(d.story, line)
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	fmt.Fprintf(&d.w.logged, "%s ---- %s\n", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}

// pass lets a dozen things happen.
func (d *day) pass() {
	for range 8 + d.rng.IntN(8) {
		switch n := d.rng.IntN(100); {
		case n < 35:
			d.push()
		case n < 65:
			d.fault()
		case n < 75:
			d.person()
		case n < 87:
			d.command()
		default:
			d.restart()
		}
		time.Sleep(time.Duration(1+d.rng.IntN(90)) * time.Second)
	}
}

// push pushes the next version; the last one is kept for the recovery.
func (d *day) push() {
	if d.pushed >= d.w.options.versions-2 {
		return
	}
	b := behaviour{}
	switch n := d.rng.IntN(100); {
	case n < 50:
	case n < 70:
		b.neverHealthy = true
	case n < 85:
		b.crashAfter = time.Duration(1+d.rng.IntN(10)) * time.Second
	default:
		b.sickAfter = time.Duration(4+d.rng.IntN(12)) * time.Second
	}
	d.bring(b)
}

func (d *day) bring(b behaviour) string {
	d.pushed++
	version := fmt.Sprintf("v%d", d.pushed+1)
	d.bad[version] = b != behaviour{}
	d.tell("push %s %+v", version, b)
	d.w.push(version, b)
	return version
}

// dayFaults are faults that end by themselves; FOR is how long they last.
var dayFaults = []string{
	"late=delay=3s,chance=30%,for=FOR", "late=delay=8s,chance=30%,for=FOR", "late=delay=8s,applied=true,chance=30%,for=FOR",
	"cut-before=chance=40%,for=FOR", "cut-after=chance=40%,for=FOR", "cut-after=method=POST,count=1", "cut-before=method=POST,count=1",
	"stale=chance=30%,for=FOR", "html=chance=50%,for=FOR", "truncated=chance=50%,for=FOR", "endless=chance=20%,for=FOR",
	"401=for=FOR", "403=chance=50%,for=FOR", "404=chance=30%,for=FOR", "409=method=POST,count=1", "429=chance=50%,for=FOR",
	"500=chance=50%,for=FOR", "502=chance=50%,for=FOR", "503=chance=50%,applied=true,for=FOR",
	"short-pages=size=2,for=FOR", "lost-pages=chance=30%,for=FOR", "stall=for=FOR", "stall-finish=for=FOR", "stall-rollback=for=FOR",
	"early-upgraded=count=1", "unknown-state=for=FOR", "hidden-action=for=FOR", "no-health=for=FOR", "lost-event=chance=50%,for=FOR",
	"restart=for=20s", "restart=now=true,for=FOR", "host-lost=for=FOR", "inactive-environment=for=FOR", "skew=by=-3h,for=FOR", "skew=by=3h,for=FOR",
}

func (d *day) fault() {
	text := dayFaults[d.rng.IntN(len(dayFaults))]
	text = strings.ReplaceAll(text, "FOR", fmt.Sprintf("%ds", 5+d.rng.IntN(115)))
	d.isSick = d.isSick || strings.HasPrefix(text, "host-lost") || strings.HasPrefix(text, "no-health")
	d.tell("fault %s", text)
	d.w.fault(text)
}

// person does something in Rancher, when Rancher takes it.
func (d *day) person() {
	service := d.w.service()
	if service == nil {
		return
	}
	id := service["id"].(string)
	action, body := "", any(nil)
	switch d.rng.IntN(6) {
	case 0:
		action = "rollback"
	case 1:
		action = "finishupgrade"
	case 2:
		action = "cancelupgrade"
	case 3:
		action, body = "upgrade", d.w.upgradeBody(d.w.image("v1"))
	case 4:
		scale := 1 + d.rng.IntN(4)
		status, _ := d.w.person(http.MethodPut, "/services/"+id, map[string]any{"scale": scale})
		d.tell("a person scales to %d: %d", scale, status)
		return
	default:
		status, _ := d.w.person(http.MethodPut, "/services/"+id, map[string]any{"metadata": map[string]any{"note": d.rng.IntN(100)}})
		d.tell("a person puts metadata: %d", status)
		return
	}
	status, _ := d.w.person(http.MethodPost, "/services/"+id+"/?action="+action, body)
	d.tell("a person's %s: %d", action, status)
}

func (d *day) command() {
	verbs := []controller.Verb{controller.Approve, controller.Finish, controller.Abort, controller.Cancel, controller.Pause, controller.Resume, controller.Retry, controller.Restore}
	verb := verbs[d.rng.IntN(len(verbs))]
	err := d.w.drover.Control.Tell(d.w.t.Context(), key, controller.Command{Verb: verb, By: "mei"})
	d.tell("drover %s: %v", verb, err)
}

// restart kills or stops Drover and starts it again.
func (d *day) restart() {
	if d.rng.IntN(3) == 0 {
		d.tell("SIGTERM")
		if err := d.w.drover.end(); err != nil {
			d.w.t.Errorf("stopping: %v", err)
		}
	} else {
		d.tell("SIGKILL")
		d.w.kill()
	}
	time.Sleep(time.Duration(d.rng.IntN(60)) * time.Second)
	d.w.start(d.w.dir)
	d.w.until(time.Minute, "Drover has looked once", func() bool { return d.w.report() != nil })
}

// recover is the evening: no fault is left, somebody puts right what is left to people, and a good version is pushed.
func (d *day) recover() {
	d.tell("evening: everything is well again")
	d.w.clear()
	d.settle()
	d.w.tell(controller.Resume)
	time.Sleep(80 * time.Minute) // Three rollbacks in an hour stop new starts.
	d.settle()
	version := d.bring(behaviour{})
	for deadline := time.Now().Add(3 * time.Hour); !d.runs(version); time.Sleep(10 * time.Second) {
		if time.Now().After(deadline) {
			d.w.t.Fatalf("the last good version does not run: %s\n%s", d.w.describe(), strings.Join(d.story, "\n"))
		}
	}
	d.w.until(30*time.Minute, "Drover rests", func() bool { return d.w.decision().Phase == reconcile.Idle })
}

// runs says that a version is all that runs, and that it is finished.
func (d *day) runs(version string) bool {
	scale, _ := d.w.service()["scale"].(float64)
	want := strings.TrimSpace(strings.Repeat(version+" ", int(scale)*map[bool]int{false: 1, true: 2}[d.w.options.sidekick]))
	return d.w.state() == "active" && d.w.running() == want
}

// settle does what Drover leaves to a person, until it rests.
func (d *day) settle() {
	for last, n := "", 0; n < 60; n++ {
		decision, state := d.w.decision(), d.w.state()
		isHanging := last == state && (state == "upgrading" || state == "finishing-upgrade")
		last = state
		isPersons := decision.Phase == reconcile.Held || decision.Phase == reconcile.Stuck
		switch {
		case isPersons && state == "upgraded":
			d.tell("evening: a person finishes")
			d.w.act("finishupgrade", nil)
		case isPersons && isHanging:
			d.tell("evening: a person cancels what hangs")
			d.w.act("cancelupgrade", nil)
		case isPersons && state == "canceled-upgrade":
			d.tell("evening: a person rolls back")
			d.w.act("rollback", nil)
		case isPersons && state == "active":
			d.tell("evening: resume after %s", decision.Reason)
			d.w.tell(controller.Resume)
		case decision.Phase == reconcile.Idle || decision.Phase == reconcile.Preflight:
			return
		}
		time.Sleep(time.Minute)
	}
	d.w.t.Fatalf("Drover does not come to rest: %s\n%s", d.w.describe(), strings.Join(d.story, "\n"))
}

// check reads the journal: no digest was brought while it was condemned, no bad version was finished but by a person,
// and no good one was condemned but by a person or by a Rancher that showed it sick.
func (d *day) check() {
	condemned, byPerson := map[string]bool{}, map[string]bool{}
	for _, e := range d.w.journal() {
		event, ok := eventOf(e)
		if !ok {
			continue
		}
		switch event.Kind {
		case reconcile.EventStarted:
			if r := event.Start; r.Kind == reconcile.Deploy && condemned[r.To.Digest] {
				d.fail(e, "brings %s, which is condemned", d.w.version(r.To.Image))
			}
		case reconcile.EventEarlyFinish, reconcile.EventAbort, reconcile.EventCancel:
			byPerson[event.Rollout] = true
		case reconcile.EventFinishing:
			d.checkFinish(e, event, byPerson)
		case reconcile.EventQuarantined:
			d.checkQuarantine(e, event, byPerson)
			for _, digest := range event.Digests {
				condemned[digest] = true
			}
		case reconcile.EventReleased:
			for _, digest := range event.Digests {
				delete(condemned, digest)
			}
		case reconcile.EventResumed:
			// What a person made run is taken as good.
		default:
		}
	}
}

func (d *day) checkFinish(e journal.Entry, event reconcile.Event, byPerson map[string]bool) {
	if version := d.brought(event.Rollout); d.bad[version] && !byPerson[event.Rollout] {
		d.fail(e, "finishes %s, which is bad", version)
	}
}

func (d *day) checkQuarantine(e journal.Entry, event reconcile.Event, byPerson map[string]bool) {
	version := d.brought(event.Rollout)
	isPersons := byPerson[event.Rollout] || strings.Contains(event.Reason, "somebody") || strings.Contains(event.Reason, "mei took it back") ||
		event.Reason == "rolled back, cause unknown"
	if !d.bad[version] && !isPersons && !d.isSick {
		d.fail(e, "condemns %s, which is good: %s", version, event.Reason)
	}
}

// brought is the version that a rollout is about.
func (d *day) brought(rollout string) string {
	for _, e := range d.w.journal() {
		if event, ok := eventOf(e); ok && event.Start != nil && event.Start.ID == rollout {
			return d.w.version(event.Start.To.Image)
		}
	}
	return ""
}

func eventOf(e journal.Entry) (event reconcile.Event, ok bool) {
	if err := json.Unmarshal(e.Data, &event); err != nil || event.Kind == "" {
		return event, false
	}
	return event, true
}

func (d *day) fail(e journal.Entry, format string, args ...any) {
	d.w.t.Errorf("journal line %d %s\n%s", e.Seq, fmt.Sprintf(format, args...), strings.Join(d.story, "\n"))
}
