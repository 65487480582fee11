package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// shownLines is how many log lines of the containers are shown each second; the
// rest is counted.
const shownLines = 4

// teller prints the story, for people or as JSON lines.
type teller struct {
	mu     sync.Mutex
	out    io.Writer
	asJSON bool
	begun  time.Time
	// second and shown bound the log lines; skipped are those left out.
	second  int
	shown   int
	skipped int
}

func newTeller(out io.Writer, asJSON bool) *teller {
	return &teller{out: out, asJSON: asJSON, begun: time.Now()}
}

// told is one event as JSON.
type told struct {
	Event   string              `json:"event"`
	Seconds float64             `json:"seconds"`
	Text    string              `json:"text,omitempty"`
	Phase   reconcile.Phase     `json:"phase,omitempty"`
	Code    reconcile.Code      `json:"code,omitempty"`
	Action  reconcile.Action    `json:"action,omitempty"`
	Rollout string              `json:"rollout,omitempty"`
	Digest  string              `json:"digest,omitempty"`
	Gates   []reconcile.Finding `json:"gates,omitempty"`
	Line    *logs.Line          `json:"line,omitempty"`
}

func (t *teller) emit(e told, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	elapsed := time.Since(t.begun)
	if t.asJSON {
		e.Seconds = elapsed.Seconds()
		// A reader that went away ends the demo by the write error of its own shell.
		_ = json.NewEncoder(t.out).Encode(e)
		return
	}
	fmt.Fprintf(t.out, "%6.1fs  %s\n", elapsed.Seconds(), text)
}

// say tells what is no decision.
func (t *teller) say(event, text string) { t.emit(told{Event: event, Text: text}, text) }

// line tells a container's log line, when there is room in this second.
func (t *teller) line(l logs.Line) {
	if t.crowded(l) {
		return
	}
	side := string(l.Version)
	if side == "" {
		side = "run"
	}
	t.emit(told{Event: "log", Line: &l}, fmt.Sprintf("      %-4s %s | %s", side, l.Name, l.Text))
}

// crowded bounds the lines of a second; what is not a plain success is preferred.
func (t *teller) crowded(l logs.Line) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := int(time.Since(t.begun).Seconds()); now != t.second {
		t.second, t.shown = now, 0
	}
	limit := shownLines
	if !strings.Contains(l.Text, " 200 ") {
		limit *= 2
	}
	if t.shown >= limit || strings.Contains(l.Text, "/healthz") {
		t.skipped++
		return true
	}
	t.shown++
	return false
}

// report tells a decision whose phase, reason or verdicts changed.
func (t *teller) report(r controller.Report) {
	d := r.Decision
	if len(d.Events) == 0 && d.Action == reconcile.NoAction && r.Err == "" {
		return
	}
	e := told{Event: "decision", Phase: d.Phase, Code: d.Code, Action: d.Action, Text: d.Reason, Gates: d.Gates}
	text := fmt.Sprintf("%-13s %s", d.Phase, d.Reason)
	if r.Rollout != nil {
		e.Rollout, e.Digest = r.Rollout.ID, r.Rollout.To.Digest
	}
	if d.Action != reconcile.NoAction {
		text += fmt.Sprintf("  → %s", d.Action)
	}
	if r.Err != "" {
		text += "  (" + r.Err + ")"
	}
	t.emit(e, text)
	if !t.asJSON {
		for i := range d.Gates {
			t.say("", fmt.Sprintf("              %-13s %-6s %s", d.Gates[i].Gate, d.Gates[i].Verdict, d.Gates[i].Text()))
		}
	}
}

// summary is the last that is told.
func (t *teller) summary(o outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.asJSON {
		_ = json.NewEncoder(t.out).Encode(o)
		return
	}
	fmt.Fprintf(t.out, "\ngood version %s: %s\n", short(o.Good), word(o.Finished, "finished", "not finished"))
	fmt.Fprintf(t.out, "bad version  %s: %s, %s, %s\n", short(o.Bad), word(o.RolledBack, "rolled back", "not rolled back"),
		word(o.Quarantine, "quarantined", "not quarantined"), word(o.Verified, "the good version runs again, verified", "what runs is not verified"))
	if o.Reason != "" {
		fmt.Fprintf(t.out, "because      %s\n", o.Reason)
	}
	fmt.Fprintf(t.out, "users        %d requests, %d failed, %d unanswered; %d log lines not shown; %.0f s\n",
		o.Traffic.Sent, o.Traffic.Failed, o.Traffic.Lost, t.skipped, o.Seconds)
	if o.Error != "" {
		fmt.Fprintf(t.out, "went wrong   %s\n", o.Error)
	}
}

func word(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

// watching follows the daemon's reports.
type watching struct {
	tell    *teller
	reports <-chan controller.Report
	lines   *logs.Follower
}

// until tells every report until one is what is waited for.
func (w *watching) until(ctx context.Context, what string, is func(controller.Report, reconcile.Event) bool) error {
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, context.Cause(ctx))
		case r := <-w.reports:
			w.tell.report(r)
			w.lines.Set(followed(r.Observed.Service, r.Rollout))
			found := is(r, reconcile.Event{})
			for _, e := range r.Decision.Events {
				found = is(r, e) || found
			}
			if found {
				return nil
			}
		}
	}
}

// followed are the containers whose logs are shown, told apart by the image that
// the rollout brings.
func followed(s observe.Service, r *reconcile.Rollout) []logs.Container {
	var containers []logs.Container
	for _, c := range s.Containers {
		if c.State != "running" && c.State != "starting" {
			continue
		}
		version := logs.VersionUnknown
		switch {
		case r == nil:
		case digestIn(c.Image) == r.To.Digest:
			version = logs.VersionNew
		default:
			version = logs.VersionOld
		}
		containers = append(containers, logs.Container{ID: c.ID, Name: c.Name, Version: version, Tail: 1, State: c.State})
	}
	return containers
}

func digestIn(image string) string {
	_, digest, _ := strings.Cut(image, "@")
	return digest
}

// short is a digest as people read it.
func short(digest string) string {
	if len(digest) > 19 {
		return digest[:19]
	}
	return digest
}
