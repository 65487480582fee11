package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/evidence"
	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

func whyCommand(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "why TARGET [DIGEST|ROLLOUT]",
		Short: "Say why a target stands where it stands, or what became of a digest",
		Long: `Print the chain of rules and figures, in plain words: why the target is in its phase and
what would change that, and for its last rollout, or those of the digest or rollout
named, what was decided when, by which rule, from which figures of which gates. A digest
may be shortened. The journal is enough; a running daemon is asked for the last look.`,
		Example: `  drover why parrot-rest
  drover why gf-chat/parrot-rest sha256:9ab0
  drover why parrot-rest parrot-rest-5f2c9a1b77aa --json`,
		Args: cobra.RangeArgs(1, 2), ValidArgsFunction: o.completePast,
		RunE: func(cmd *cobra.Command, args []string) error {
			subject := ""
			if len(args) == 2 {
				subject = args[1]
			}
			if asJSON {
				o.language = language.English
			}
			w, err := reasonsOf(cmd, o, args[0], subject)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), w)
			}
			w.print(cmd.OutOrStdout(), o.language, time.Now())
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// reasons is what why prints.
type reasons struct {
	Target string `json:"target"`
	// Now is where the target stands; nil when nothing is known of it.
	Now *nowReason `json:"now,omitempty"`
	// Runs is what it runs as far as Drover knows.
	Runs *runsReason `json:"runs,omitempty"`
	// Digest is the one asked about, in full when it is known.
	Digest string `json:"digest,omitempty"`
	// Facts are what else is known of the digest: quarantined, ran before, released.
	Facts []string `json:"facts,omitempty"`
	// Rollouts are those asked about, oldest first.
	Rollouts []rolloutReason `json:"rollouts,omitempty"`
}

type nowReason struct {
	Phase  reconcile.Phase `json:"phase"`
	Code   reconcile.Code  `json:"code"`
	Reason string          `json:"reason"`
	Since  time.Time       `json:"since,omitzero"`
	Alert  bool            `json:"alert,omitempty"`
	Rule   string          `json:"rule,omitempty"`
	Do     string          `json:"do,omitempty"`
	Gates  []gateReason    `json:"gates,omitempty"`
	// Error is what went wrong with writing that down or doing it.
	Error string `json:"error,omitempty"`
}

type runsReason struct {
	Image   string    `json:"image"`
	Digest  string    `json:"digest,omitempty"`
	Rollout string    `json:"rollout,omitempty"`
	At      time.Time `json:"at,omitzero"`
}

// gateReason is a verdict with the rule behind it.
type gateReason struct {
	reconcile.Finding
	Text string `json:"text"`
	Rule string `json:"rule,omitempty"`
}

// rolloutReason is one rollout and what happened in it.
type rolloutReason struct {
	web.Rollout
	Steps []stepReason `json:"steps"`
	// Evidence is the file it can be replayed from, when it is still there.
	Evidence string `json:"evidence,omitempty"`
}

// stepReason is one line of the journal about a rollout.
type stepReason struct {
	At     time.Time           `json:"at"`
	Kind   reconcile.EventKind `json:"kind"`
	Code   reconcile.Code      `json:"code,omitempty"`
	Reason string              `json:"reason,omitempty"`
	By     string              `json:"by,omitempty"`
	Rule   string              `json:"rule,omitempty"`
	Gates  []gateReason        `json:"gates,omitempty"`
	// Digests are those quarantined.
	Digests []string `json:"digests,omitempty"`
}

// reasonsOf asks the journal, and the daemon for the last look.
func reasonsOf(cmd *cobra.Command, o *options, name, subject string) (*reasons, error) {
	key, _ := keyOf(o.config, name)
	past, err := pastOfTarget(o.language, o.stateDir, key)
	if err != nil {
		return nil, err
	}
	key = past.key
	w := &reasons{Target: key}
	w.now(past.history)
	if views, err := o.client().Targets(cmd.Context()); err == nil {
		w.look(views)
	}
	if w.Now == nil && len(past.order) == 0 {
		return nil, o.language.Errorf("nothing is known of a target %q", name)
	}
	chosen := past.choose(subject)
	if subject != "" && len(chosen) == 0 || isDigestLike(subject) {
		w.about(o.language, subject, past)
	}
	if subject != "" && len(chosen) == 0 && len(w.Facts) == 0 {
		return nil, o.language.Errorf("no rollout and no digest of %s begins with %q in the journal; a digest that was never started is explained by `drover why %s` while the tag names it", key, subject, name)
	}
	for _, id := range chosen {
		w.Rollouts = append(w.Rollouts, past.reasonOf(id, o.stateDir))
	}
	return w, nil
}

// targetPast is what the journal knows of one target.
type targetPast struct {
	// key is its stack/service, history what is remembered of it.
	key     string
	history reconcile.History
	// order are its rollouts, oldest first, rollouts and events by id.
	order    []string
	rollouts map[string]reconcile.Rollout
	events   map[string][]reconcile.Event
	// released are the digests that people released, with who.
	released map[string]string
}

func pastOfTarget(l language.Language, stateDir, key string) (*targetPast, error) {
	r, err := journal.OpenReadOnly(stateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoJournal(l, stateDir)
	}
	if err != nil {
		return nil, err
	}
	past := &targetPast{rollouts: map[string]reconcile.Rollout{}, events: map[string][]reconcile.Event{}, released: map[string]string{}}
	histories, err := controller.Histories(r.Replay)
	if err != nil {
		return nil, err
	}
	key = rememberedKey(histories, key)
	past.key, past.history = key, histories[key]
	var h reconcile.History
	err = r.History(func(e journal.Entry) error {
		if e.Target != key {
			return nil
		}
		return past.take(&h, e)
	})
	return past, err
}

// rememberedKey is the one target of the journal that is called key, or key.
func rememberedKey(histories map[string]reconcile.History, key string) string {
	if _, isKnown := histories[key]; isKnown {
		return key
	}
	var called []string
	for target := range histories {
		if isCalled(target, key) {
			called = append(called, target)
		}
	}
	if len(called) == 1 {
		return called[0]
	}
	return key
}

// take adds a line of the journal.
func (p *targetPast) take(h *reconcile.History, e journal.Entry) error {
	next, err := controller.Fold(*h, e)
	if err != nil {
		return fmt.Errorf("reading journal line %d: %w", e.Seq, err)
	}
	*h = next
	for _, r := range []*reconcile.Rollout{h.Last, h.Rollout} {
		if r == nil {
			continue
		}
		if _, known := p.rollouts[r.ID]; !known {
			p.order = append(p.order, r.ID)
		}
		p.rollouts[r.ID] = *r
	}
	switch e.Type {
	case controller.TypeAnswer, controller.TypeEvidence, controller.TypeHistory:
		return nil
	}
	var event reconcile.Event
	if err := json.Unmarshal(e.Data, &event); err != nil {
		return fmt.Errorf("reading journal line %d: %w", e.Seq, err)
	}
	for _, d := range event.Digests {
		if event.Kind == reconcile.EventReleased {
			p.released[d] = event.By
		}
	}
	if id := event.Rollout; id != "" {
		p.events[id] = append(p.events[id], event)
	}
	return nil
}

// isDigestLike says that a word may be a digest, whole or shortened.
func isDigestLike(s string) bool {
	hex := strings.TrimPrefix(s, "sha256:")
	return len(hex) >= 4 && strings.Trim(hex, "0123456789abcdef") == ""
}

// isDigest says that a digest begins with what a person wrote.
func isDigest(digest, subject string) bool {
	return isDigestLike(subject) && strings.HasPrefix(strings.TrimPrefix(digest, "sha256:"), strings.TrimPrefix(subject, "sha256:"))
}

// choose are the rollouts that are asked about: the last without a subject.
func (p *targetPast) choose(subject string) []string {
	if subject == "" {
		return p.order[max(0, len(p.order)-1):]
	}
	return slices.DeleteFunc(slices.Clone(p.order), func(id string) bool {
		r := p.rollouts[id]
		return id != subject && !isDigest(r.To.Digest, subject) && !isDigest(r.To.Manifest, subject)
	})
}

func (p *targetPast) reasonOf(id, stateDir string) rolloutReason {
	r := p.rollouts[id]
	out := rolloutReason{Rollout: *web.RolloutOf(&r)}
	for _, e := range p.events[id] {
		if step, ok := stepOf(&e); ok {
			out.Steps = appendStep(out.Steps, step)
		}
	}
	if file := evidence.Path(controller.EvidenceDir(stateDir), id); isFile(file) {
		out.Evidence = file
	}
	return out
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// appendStep leaves out the status of a look that another fact tells of already.
func appendStep(steps []stepReason, s stepReason) []stepReason {
	if n := len(steps) - 1; n >= 0 && s.Kind == reconcile.EventStatus && steps[n].At.Equal(s.At) {
		if len(steps[n].Gates) == 0 {
			steps[n].Gates = s.Gates
		}
		return steps
	}
	return append(steps, s)
}

// stepOf is a fact for people.
func stepOf(e *reconcile.Event) (stepReason, bool) {
	s := stepReason{At: e.At, Kind: e.Kind, Code: e.Code, Reason: e.Reason, By: e.By, Gates: gatesOf(e.Findings), Digests: e.Digests}
	switch {
	case e.Kind == reconcile.EventConfirmed:
		return s, false
	case e.Kind == reconcile.EventStatus && e.Status != nil:
		s.Code, s.Reason = e.Status.Code, e.Status.Reason
	case e.Kind == reconcile.EventCheck && e.Check != nil:
		s.Reason = fmt.Sprintf("check %s is %s %s", e.Check.Name, e.Check.State, e.Check.Detail)
	}
	s.Rule = meaningOf(s.Code).means
	return s, true
}

func gatesOf(findings []reconcile.Finding) []gateReason {
	var gates []gateReason
	for _, f := range findings {
		gates = append(gates, gateReason{Finding: f, Text: f.Text(), Rule: meaningOf(f.Code).means})
	}
	return gates
}

// now is where the target stands, from the journal.
func (w *reasons) now(h reconcile.History) {
	if h.Status.Phase != "" {
		st := h.Status
		w.Now = &nowReason{Phase: st.Phase, Code: st.Code, Reason: st.Reason, Since: st.Since, Alert: st.Alert}
		w.Now.explain()
	}
	if b := h.Baseline; b != nil {
		w.Runs = &runsReason{Image: b.Image, Digest: b.Digest, Rollout: b.Rollout, At: b.At}
	}
}

func (n *nowReason) explain() {
	e := meaningOf(n.Code)
	n.Rule, n.Do = e.means, e.do
}

// look takes over the daemon's last look.
func (w *reasons) look(views []web.View) {
	for i := range views {
		v := &views[i]
		if v.Target != w.Target || v.Phase == "" {
			continue
		}
		w.Now = &nowReason{Phase: v.Phase, Code: v.Code, Reason: v.Reason, Since: v.Since, Alert: v.Alert, Error: v.Error}
		w.Now.explain()
		for _, g := range v.Gates {
			w.Now.Gates = append(w.Now.Gates, gateReason{Finding: g.Finding, Text: g.Text, Rule: meaningOf(g.Code).means})
		}
	}
}

// about is what is known of a digest beside its rollouts.
func (w *reasons) about(l language.Language, subject string, p *targetPast) {
	h := p.history
	add := func(digest, fact string) {
		if w.Digest == "" {
			w.Digest = digest
		}
		w.Facts = append(w.Facts, fact)
	}
	for d, q := range h.Quarantine {
		if isDigest(d, subject) {
			add(d, l.Sprintf("it is quarantined since %s (rollout %s): %s", q.At.UTC().Format(time.RFC3339), q.Rollout, q.Reason))
			add(d, l.Sprintf("a newer digest goes past it; `drover retry %s --digest %s` tries it once more", w.Target, d))
		}
	}
	for _, part := range h.Baseline.Parts() {
		if isDigest(part.Digest, subject) {
			add(part.Digest, l.Sprintf("it is what the service runs"))
			break
		}
	}
	for _, part := range h.Baseline.Parts() {
		if part.Over != "" && isDigest(part.Over, subject) {
			add(part.Over, l.Sprintf("the tag named it when the service was adopted running something else, so it is passed over; `drover retry %s --digest %s` deploys it", w.Target, part.Over))
			break
		}
	}
	past := slices.Clone(h.Past)
	for _, name := range slices.Sorted(maps.Keys(h.PastSidekicks)) {
		past = append(past, h.PastSidekicks[name]...)
	}
	for _, d := range past {
		if isDigest(d, subject) {
			add(d, l.Sprintf("it ran before; a tag that moves back to it is asked about: `drover retry %s --digest %s` deploys it", w.Target, d))
			break
		}
	}
	for d, by := range p.released {
		if isDigest(d, subject) {
			add(d, l.Sprintf("%s let it be tried again", by))
		}
	}
}
