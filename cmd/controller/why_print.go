package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// print tells the reasons as a story: where the target stands, what is known of
// the digest, and each rollout step by step.
func (w *reasons) print(out io.Writer, l language.Language, now time.Time) {
	if n := w.Now; n != nil {
		alert := ""
		if n.Alert {
			alert = l.Sprintf(", a person should look")
		}
		fmt.Fprintln(out, l.Sprintf("%s: %s since %s (%s)%s", w.Target, operator.PhaseIn(l, n.Phase), n.Since.UTC().Format(time.RFC3339), ago(n.Since, now), alert))
		fmt.Fprintln(out, l.Sprintf("  because  %s", oneLine(n.Reason)))
		if n.Error != "" {
			fmt.Fprintln(out, l.Sprintf("  but      this could not be carried out: %s", oneLine(n.Error)))
		}
		explainTo(out, l, "  ", n.Code)
		printGates(out, l, "  ", n.Gates)
	}
	if r := w.Runs; r != nil {
		fmt.Fprintln(out, l.Sprintf("  it runs  %s%s", oneLine(r.Image), broughtBy(l, r)))
	}
	if w.Digest != "" {
		fmt.Fprintf(out, "\n%s\n", w.Digest)
	}
	for _, fact := range w.Facts {
		fmt.Fprintf(out, "  %s\n", oneLine(fact))
	}
	for i := range w.Rollouts {
		w.Rollouts[i].print(out, l)
	}
}

func broughtBy(l language.Language, r *runsReason) string {
	switch {
	case r.Rollout != "":
		return l.Sprintf(", brought by rollout %s (%s)", oneLine(r.Rollout), r.At.UTC().Format(time.RFC3339))
	case !r.At.IsZero():
		return l.Sprintf(", as it was found %s", r.At.UTC().Format(time.RFC3339))
	}
	return ""
}

// explainTo prints the rule behind a code, and what to do when that is something.
func explainTo(out io.Writer, l language.Language, indent string, code reconcile.Code) {
	e := meaningIn(l, code)
	if e.means != "" {
		fmt.Fprintln(out, l.Sprintf("%srule     %s: %s", indent, code, e.means))
	}
	if e.do != "" && meaningOf(code).do != "nothing" {
		fmt.Fprintln(out, l.Sprintf("%sto do    %s", indent, e.do))
	}
}

func printGates(out io.Writer, l language.Language, indent string, gates []gateReason) {
	for i := range gates {
		g := &gates[i]
		fmt.Fprintf(out, "%s%-16s %-6s  %s\n", indent, g.Gate, g.Verdict, oneLine(operator.FiguresIn(l, &g.Finding, g.Text)))
		if figures := figuresOf(l, &g.Finding); figures != "" {
			fmt.Fprintf(out, "%s%-16s %-6s  %s\n", indent, "", "", figures)
		}
		if g.Verdict != reconcile.Pass && g.Rule != "" {
			fmt.Fprintf(out, "%s%-16s %-6s  %s\n", indent, "", "", l.Sprintf("rule %s: %s", g.Code, meaningIn(l, g.Code).means))
		}
	}
}

// figuresOf are the figures that a finding's words leave out.
func figuresOf(l language.Language, f *reconcile.Finding) string {
	if f.Gate != "load balancer" || f.Requests+f.Synthetic == 0 {
		return ""
	}
	parts := []string{
		l.Sprintf("new: %d requests, %d failed", f.Requests, f.Failures),
		l.Sprintf("old: %d, %d", f.OldRequests, f.OldFailures),
		l.Sprintf("probes: %d", f.Synthetic),
		l.Sprintf("needed: %d", f.Needed),
		l.Sprintf("E = %.3g (rolls back at 100)", f.Evidence),
		l.Sprintf("sum = %.3g (fires at 4.61)", f.Sum),
		l.Sprintf("either only with failures in 3 intervals of 20 requests"),
		l.Sprintf("at most %.2g%% failed, with 95%% confidence; the limit is %.2g%%", 100*f.Bound, 100*f.Limit),
	}
	return strings.Join(parts, "; ")
}

func (r *rolloutReason) print(out io.Writer, l language.Language) {
	outcome := outcomeIn(l, string(r.Outcome))
	if outcome == "" {
		outcome = l.Sprintf("open")
	}
	fmt.Fprintln(out)
	fmt.Fprintln(out, l.Sprintf("rollout %s (%s): %s to %s, %s", oneLine(r.ID), r.Kind, web.Short(r.From), web.Short(r.To), outcome))
	if r.Revision != "" {
		fmt.Fprintln(out, l.Sprintf("  commit   %s", oneLine(r.Revision)))
	}
	if condemned := r.Condemned(); condemned != "" {
		fmt.Fprintln(out, l.Sprintf("  layers   the same as of quarantined %s", condemned))
	}
	said := map[string]string{}
	for i := range r.Steps {
		r.Steps[i].print(out, l, r.Started, said)
	}
	if r.Evidence != "" {
		fmt.Fprintln(out, l.Sprintf("  evidence %s: drover replay shows every look", r.Evidence))
	}
}

// print tells a step: a verdict with all its gates and their rules, another with
// the gates that turned. said holds what each gate said last.
func (s *stepReason) print(out io.Writer, l language.Language, begun time.Time, said map[string]string) {
	by := ""
	if s.By != "" {
		by = l.Sprintf(" by %s", oneLine(s.By))
	}
	what := string(s.Kind)
	if s.Kind == reconcile.EventStatus {
		what = ""
	}
	fmt.Fprintf(out, "%9s  %s\n", "+"+s.At.Sub(begun).Round(time.Second).String(), strings.TrimSpace(strings.Join([]string{what + by, reasonText(s)}, "  ")))
	isVerdict := s.Kind == reconcile.EventRollingBack || s.Kind == reconcile.EventFinishing || s.Kind == reconcile.EventStuck || s.Kind == reconcile.EventTakenOver
	if isVerdict && s.Rule != "" {
		fmt.Fprintf(out, "%9s  %s\n", "", l.Sprintf("rule %s: %s", s.Code, meaningIn(l, s.Code).means))
	}
	if isVerdict {
		printGates(out, l, "             ", s.Gates)
		return
	}
	for i := range s.Gates {
		g := &s.Gates[i]
		word := string(g.Verdict) + " " + string(g.Code)
		if said[g.Gate] != word {
			fmt.Fprintf(out, "%9s    %-16s %-6s  %s\n", "", g.Gate, g.Verdict, oneLine(operator.FiguresIn(l, &g.Finding, g.Text)))
		}
		said[g.Gate] = word
	}
}

func reasonText(s *stepReason) string {
	text := s.Reason
	if len(s.Digests) > 0 {
		shorts := make([]string, len(s.Digests))
		for i, d := range s.Digests {
			shorts[i] = web.Short(d)
		}
		text = strings.Join(shorts, ", ") + ": " + text
	}
	if text == "" {
		return ""
	}
	return oneLine(text)
}
