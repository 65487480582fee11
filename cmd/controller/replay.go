package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/evidence"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

func replayCommand(_ *options) *cobra.Command {
	r := &replayer{}
	var policy string
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Decide a recorded rollout again, look by look",
		Long: `Feed a rollout's evidence (evidence/ROLLOUT.jsonl in the state directory) to the code
that the daemon decides with, and print each change of decision or verdict with the
figures it is made from. --policy judges the same readings by another targets.yaml.
Exit 1 when this build decides otherwise than was recorded.`,
		Example: `  drover replay state/evidence/parrot-rest-5f2c9a1b77aa.jsonl
  drover replay parrot-rest-5f2c9a1b77aa.jsonl --policy config/targets.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.out = cmd.OutOrStdout()
			return r.replay(args[0], policy)
		},
	}
	cmd.Flags().BoolVar(&r.asJSON, "json", false, "print one JSON object per change")
	cmd.Flags().BoolVar(&r.withLines, "lines", false, "print the last lines of containers that died too")
	cmd.Flags().StringVar(&policy, "policy", "", "take gates and rollout settings from this targets.yaml")
	return cmd
}

// replayer prints a replay.
type replayer struct {
	out               io.Writer
	asJSON, withLines bool

	about evidence.About
	// said is the last change, gates the last word of each gate.
	said  string
	gates map[string]string
	looks int
	// differs is the first look that is decided otherwise.
	differs *evidence.Replayed
	kept    int
}

// change is one line of a replay.
type change struct {
	At     time.Time           `json:"at"`
	Phase  reconcile.Phase     `json:"phase"`
	Code   reconcile.Code      `json:"code"`
	Reason string              `json:"reason"`
	Action reconcile.Action    `json:"action,omitempty"`
	Gates  []reconcile.Finding `json:"gates,omitempty"`
	// Recorded is what was decided then, when it was something else.
	Recorded string `json:"recorded,omitempty"`
}

func (r *replayer) replay(path, policy string) error {
	if err := r.readAbout(path); err != nil {
		return err
	}
	target, err := r.policyOf(policy)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening evidence: %w", err)
	}
	defer f.Close()
	r.heading()
	r.gates = map[string]string{}
	if err := evidence.Replay(f, target, r.look); err != nil {
		return fmt.Errorf("replaying %s: %w", path, err)
	}
	return r.summary(target != nil)
}

// readAbout reads what the file is about, and the containers in it.
func (r *replayer) readAbout(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening evidence: %w", err)
	}
	defer f.Close()
	return evidence.Read(f, func(line evidence.Line) error {
		switch {
		case line.Rollout != nil:
			r.about = *line.Rollout
		case line.Container != nil:
			r.kept++
			if r.withLines && !r.asJSON {
				r.container(line.Container)
			}
		}
		return nil
	})
}

func (r *replayer) container(c *evidence.Container) {
	fmt.Fprintf(r.out, "%s (%s), kept because %s\n", oneLine(c.Name), oneLine(c.ID), oneLine(c.Why))
	for _, l := range c.Lines {
		fmt.Fprintf(r.out, "  %s  %s\n", l.At.UTC().Format("15:04:05.000"), oneLine(l.Text))
	}
	if c.Error != "" {
		fmt.Fprintf(r.out, "  %s\n", oneLine(c.Error))
	}
}

// policyOf is the target of another file that the rollout is about; nil without a
// file.
func (r *replayer) policyOf(path string) (*desired.Target, error) {
	if path == "" {
		return nil, nil
	}
	config, err := desired.Load(path)
	if err != nil {
		return nil, err
	}
	t, ok := config.Target(r.about.Target)
	if !ok {
		return nil, fmt.Errorf("%s has no target %s, which the evidence is about", path, r.about.Target)
	}
	return &t, nil
}

func (r *replayer) heading() {
	if !r.asJSON {
		a := &r.about
		fmt.Fprintf(r.out, "rollout %s of %s: %s to %s, %s\n", oneLine(a.ID), oneLine(a.Target), web.Short(a.From), web.Short(a.To), a.Started.UTC().Format(time.RFC3339))
	}
}

// look prints a look whose decision or verdicts are others than before.
func (r *replayer) look(p evidence.Replayed) error {
	r.looks++
	if !p.IsSame && r.differs == nil {
		r.differs = &p
	}
	if p.Note != "" && !r.asJSON {
		fmt.Fprintln(r.out, "note: "+p.Note)
	}
	d := &p.Decision
	said := fmt.Sprint(d.Phase, d.Code, d.Action)
	turned := r.turned(d.Gates)
	if said == r.said && len(turned) == 0 {
		return nil
	}
	isNews := said != r.said
	r.said = said
	if r.asJSON {
		c := change{At: p.Line.At, Phase: d.Phase, Code: d.Code, Reason: d.Reason, Action: d.Action, Gates: d.Gates}
		if !p.IsSame {
			c.Recorded = recordedText(&p)
		}
		return json.NewEncoder(r.out).Encode(c)
	}
	r.print(&p, isNews, turned)
	return nil
}

// turned are the gates whose verdict or code is another than before.
func (r *replayer) turned(gates []reconcile.Finding) []reconcile.Finding {
	var turned []reconcile.Finding
	for _, f := range gates {
		word := string(f.Verdict) + string(f.Code)
		if r.gates[f.Gate] != word {
			r.gates[f.Gate] = word
			turned = append(turned, f)
		}
	}
	return turned
}

func (r *replayer) print(p *evidence.Replayed, isNews bool, turned []reconcile.Finding) {
	offset := "+" + p.Line.At.Sub(r.about.Started).Round(time.Second).String()
	if isNews {
		action := ""
		if p.Decision.Action != reconcile.NoAction {
			action = "  > " + string(p.Decision.Action)
		}
		fmt.Fprintf(r.out, "%8s  %s %s: %s%s\n", offset, p.Decision.Phase, p.Decision.Code, oneLine(p.Decision.Reason), action)
		offset = ""
	}
	for i := range turned {
		fmt.Fprintf(r.out, "%8s    %-16s %-6s  %s\n", offset, turned[i].Gate, turned[i].Verdict, oneLine(turned[i].Text()))
		offset = ""
	}
}

func recordedText(p *evidence.Replayed) string {
	text := fmt.Sprintf("%s %s: %s", p.Recorded.Phase, p.Recorded.Code, p.Recorded.Reason)
	if p.Recorded.Action != reconcile.NoAction {
		text += " > " + string(p.Recorded.Action)
	}
	return text
}

// summary says whether the decisions are those that were recorded. With another
// policy they may well be others.
func (r *replayer) summary(isOtherPolicy bool) error {
	if r.looks == 0 {
		return errors.New("the file has no looks to replay")
	}
	var differs string
	if p := r.differs; p != nil {
		differs = fmt.Sprintf("at +%s it was %s", p.Line.At.Sub(r.about.Started).Round(time.Second), recordedText(p))
	}
	if !r.asJSON {
		r.lastWords(differs)
	}
	if differs != "" && !isOtherPolicy {
		return fmt.Errorf("this build decides otherwise: %s", differs)
	}
	return nil
}

func (r *replayer) lastWords(differs string) {
	parts := []string{fmt.Sprintf("%d looks, decided as they were recorded", r.looks)}
	if differs != "" {
		parts[0] = fmt.Sprintf("%d looks, decided otherwise: %s", r.looks, oneLine(differs))
	}
	if r.kept > 0 && !r.withLines {
		parts = append(parts, fmt.Sprintf("the last lines of %d containers are in it (--lines)", r.kept))
	}
	fmt.Fprintln(r.out, strings.Join(parts, "; "))
}
