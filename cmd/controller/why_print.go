package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// print tells the reasons as a story: where the target stands, what is known of
// the digest, and each rollout step by step.
func (w *reasons) print(out io.Writer, now time.Time) {
	if n := w.Now; n != nil {
		alert := ""
		if n.Alert {
			alert = ", a person should look"
		}
		fmt.Fprintf(out, "%s is %s since %s (%s)%s\n", w.Target, n.Phase, n.Since.UTC().Format(time.RFC3339), ago(n.Since, now), alert)
		fmt.Fprintf(out, "  because  %s\n", oneLine(n.Reason))
		explainTo(out, "  ", n.Code, n.Rule, n.Do)
		printGates(out, "  ", n.Gates)
	}
	if r := w.Runs; r != nil {
		fmt.Fprintf(out, "  it runs  %s%s\n", oneLine(r.Image), broughtBy(r))
	}
	if w.Digest != "" {
		fmt.Fprintf(out, "\n%s\n", w.Digest)
	}
	for _, fact := range w.Facts {
		fmt.Fprintf(out, "  %s\n", oneLine(fact))
	}
	for i := range w.Rollouts {
		w.Rollouts[i].print(out, w.Target)
	}
}

func broughtBy(r *runsReason) string {
	switch {
	case r.Rollout != "":
		return fmt.Sprintf(", brought by rollout %s (%s)", oneLine(r.Rollout), r.At.UTC().Format(time.RFC3339))
	case !r.At.IsZero():
		return ", as it was found " + r.At.UTC().Format(time.RFC3339)
	}
	return ""
}

// explainTo prints the rule behind a code, and what to do when that is something.
func explainTo(out io.Writer, indent string, code reconcile.Code, rule, do string) {
	if rule != "" {
		fmt.Fprintf(out, "%srule     %s: %s\n", indent, code, rule)
	}
	if do != "" && do != "nothing" {
		fmt.Fprintf(out, "%sto do    %s\n", indent, do)
	}
}

func printGates(out io.Writer, indent string, gates []gateReason) {
	for i := range gates {
		g := &gates[i]
		fmt.Fprintf(out, "%s%-16s %-6s  %s\n", indent, g.Gate, g.Verdict, oneLine(g.Text))
		if figures := figuresOf(&g.Finding); figures != "" {
			fmt.Fprintf(out, "%s%-16s %-6s  %s\n", indent, "", "", figures)
		}
		if g.Verdict != reconcile.Pass && g.Rule != "" {
			fmt.Fprintf(out, "%s%-16s %-6s  rule %s: %s\n", indent, "", "", g.Code, g.Rule)
		}
	}
}

// figuresOf are the figures that a finding's words leave out.
func figuresOf(f *reconcile.Finding) string {
	if f.Gate != "load balancer" || f.Requests+f.Synthetic == 0 {
		return ""
	}
	parts := []string{
		fmt.Sprintf("new: %d requests, %d failed", f.Requests, f.Failures),
		fmt.Sprintf("old: %d, %d", f.OldRequests, f.OldFailures),
		fmt.Sprintf("probes: %d", f.Synthetic),
		fmt.Sprintf("needed: %d", f.Needed),
		fmt.Sprintf("E = %.3g (rolls back at 100)", f.Evidence),
		fmt.Sprintf("sum = %.3g (fires at 4.61)", f.Sum),
		fmt.Sprintf("at most %.2g%% failed, with 95%% confidence; the limit is %.2g%%", 100*f.Bound, 100*f.Limit),
	}
	return strings.Join(parts, "; ")
}

func (r *rolloutReason) print(out io.Writer, target string) {
	outcome := string(r.Outcome)
	if outcome == "" {
		outcome = "open"
	}
	fmt.Fprintf(out, "\nrollout %s (%s): %s to %s, %s\n", oneLine(r.ID), r.Kind, web.Short(r.From), web.Short(r.To), outcome)
	if r.Revision != "" {
		fmt.Fprintf(out, "  commit   %s\n", oneLine(r.Revision))
	}
	said := map[string]string{}
	for i := range r.Steps {
		r.Steps[i].print(out, r.Started, said)
	}
	if r.Evidence != "" {
		fmt.Fprintf(out, "  evidence %s: drover replay shows every look\n", r.Evidence)
	}
}

// print tells a step: a verdict with all its gates and their rules, another with
// the gates that turned. said holds what each gate said last.
func (s *stepReason) print(out io.Writer, begun time.Time, said map[string]string) {
	by := ""
	if s.By != "" {
		by = " by " + oneLine(s.By)
	}
	what := string(s.Kind)
	if s.Kind == reconcile.EventStatus {
		what = ""
	}
	fmt.Fprintf(out, "%9s  %s\n", "+"+s.At.Sub(begun).Round(time.Second).String(), strings.TrimSpace(strings.Join([]string{what + by, reasonText(s)}, "  ")))
	isVerdict := s.Kind == reconcile.EventRollingBack || s.Kind == reconcile.EventFinishing || s.Kind == reconcile.EventStuck || s.Kind == reconcile.EventTakenOver
	if isVerdict && s.Rule != "" {
		fmt.Fprintf(out, "%9s  rule %s: %s\n", "", s.Code, s.Rule)
	}
	if isVerdict {
		printGates(out, "             ", s.Gates)
		return
	}
	for i := range s.Gates {
		g := &s.Gates[i]
		word := string(g.Verdict) + " " + string(g.Code)
		if said[g.Gate] != word {
			fmt.Fprintf(out, "%9s    %-16s %-6s  %s\n", "", g.Gate, g.Verdict, oneLine(g.Text))
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
