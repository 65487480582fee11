package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/watch/watchtest"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// desk is a developer's terminal.
type desk struct {
	*watchtest.Terminal
	t *testing.T
	// tape, where there is one, records what is shown; seen are the screens at the
	// milestones of the story.
	tape *tape
	seen map[string]string
}

func newDesk(t *testing.T, width, height int) *desk {
	t.Helper()
	return &desk{Terminal: watchtest.New(t, width, height), t: t, seen: map[string]string{}}
}

// sees waits until the screen shows a text; said is what the failure adds.
func (d *desk) sees(said fmt.Stringer, text string) {
	d.t.Helper()
	defer func() {
		if d.t.Failed() {
			d.t.Log(said)
		}
	}()
	d.Await(time.Minute, "the screen shows "+text, func(screen string) bool { return strings.Contains(screen, text) })
}

// TestPushWatchDecide is the whole point, as one test: an image is pushed to the
// registry, and nothing else is done; the developer sees the new container's first
// line, and decides: finish. And again: roll back.
func TestPushWatchDecide(t *testing.T) {
	if testing.Short() {
		t.Skip("plays two rollouts")
	}
	t.Parallel()
	b := newStory(t, 0)
	stop := b.daemon()
	b.awaitStatus(`"nothing-to-do"`)

	d := newDesk(t, castWidth, castHeight)
	left := make(chan int, 1)
	go func() {
		args := []string{"watch", "parrot-rest", "--by", "jo", "--config", filepath.Join(b.dir, "targets.yaml"), "--state-dir", filepath.Join(b.dir, "state")}
		left <- run(t.Context(), args, d.TTY, d.TTY, d.TTY)
	}()
	d.sees(&b.said, "waiting for a push of parrot-rest:latest")
	d.milestone("waiting")

	pushed := time.Now()
	good := b.push("log=the first version")
	d.sees(&b.said, "the first version")
	t.Logf("from the push to the new container's first line: %s, with a poll of 1 s and 1 s to settle", time.Since(pushed).Round(time.Millisecond))
	d.sees(&b.said, "baking")
	d.decide(&b.said, "f", "finish gf-chat/parrot-rest?", "FINISHED after")
	b.shows(good, observe.StateActive)

	pushed = time.Now()
	b.push("log=the second version")
	d.sees(&b.said, "the second version")
	t.Logf("and again: %s", time.Since(pushed).Round(time.Millisecond))
	d.sees(&b.said, "baking")
	d.decide(&b.said, "r", "rollback gf-chat/parrot-rest?", "ROLLED BACK after")
	b.shows(good, observe.StateActive)

	compareCast(t, d.seen)

	d.Press("\x03")
	select {
	case code := <-left:
		if code != exitOtherwise {
			t.Errorf("watch ends with %d, want %d: what was followed last was rolled back", code, exitOtherwise)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("watch does not end")
	}
	if out := b.drover(exitOK, "history", "parrot-rest", "--json"); strings.Count(out, `"by": "jo"`) != 2 {
		t.Errorf("the journal does not say that jo decided twice: %s", out)
	}
	if code := stop(); code != exitOK {
		t.Errorf("drover run ends with %d", code)
	}
	b.keepsSecrets()
}

// decide presses a key, reads the question, says yes, and waits for the outcome.
func (d *desk) decide(said fmt.Stringer, key, question, outcome string) {
	d.t.Helper()
	d.Press(key)
	d.sees(said, question)
	d.sees(said, "[y] yes")
	d.milestone(question)
	d.Press("y")
	d.sees(said, outcome)
	d.milestone(outcome)
}
