package main

import (
	"fmt"
	"io"
	"os"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
)

// act is a person's decision on one service.
type act struct {
	o       *options
	request operator.Request
	// isSure does not ask, noWait does not wait; timeout bounds the wait.
	isSure, noWait bool
	timeout        time.Duration
	asJSON         bool
}

// defaultWait is longer than any rollout with the default policy.
const defaultWait = time.Hour

// followEvery is the pause between two looks at what goes on.
const followEvery = 500 * time.Millisecond

// actVerb is what --help says of a verb.
type actVerb struct {
	verb        operator.Verb
	short, long string
	example     string
	// hasRollout has --rollout, hasDigest the meaning of --digest.
	hasRollout bool
	hasDigest  string
	// hasDespite has --despite-baseline.
	hasDespite bool
	// waits says that there is something to wait for.
	waits bool
}

var actVerbs = []actVerb{
	{
		verb: operator.Upgrade, short: "Roll out what the followed tag names, now",
		long: `The daemon starts as soon as nothing speaks against it: a digest that a person asks
for passes quarantine, back-off and the question about older tags. Without a daemon
Rancher is told, and the service stops at upgraded. Flags with (*) are for then only.`,
		example: `  drover upgrade api
  drover upgrade shop/api --image registry.example/shop/api:1.7`,
		hasDigest: "refuse unless the tag names this digest", hasDespite: true, waits: true,
	},
	{
		verb: operator.Finish, short: "Finish the upgrade under way, without bake and gates",
		long: `Every container is still proved. Rancher then removes the old containers and forgets
its own way back.`,
		example:    "  drover finish api\n  drover finish shop/api --yes --no-wait",
		hasRollout: true, waits: true,
	},
	{
		verb: operator.Rollback, short: "Take back the upgrade under way, or the last finished one",
		long: `An upgrade under way is rolled back in Rancher. A finished one is taken back by a
fresh upgrade to what ran before, with the launch configuration that the journal
kept, because Rancher has forgotten it.`,
		example:    "  drover rollback api\n  drover rollback api --digest sha256:2f1c…   # one of those that ran",
		hasRollout: true, hasDigest: "after a finish: the digest to go back to (default what ran last)", waits: true,
	},
	{
		verb: operator.Cancel, short: "Stop the upgrade under way, or a finish that hangs, where it is",
		long: `Old and new containers stay side by side and nothing goes on by itself;
drover rollback leads out.`,
		example:    "  drover cancel api && drover rollback api",
		hasRollout: true, waits: true,
	},
	{
		verb: operator.Approve, short: "Approve the open rollout of a target with finish: manual",
		long:       "It is finished once every gate has passed. Needs the daemon.",
		example:    "  drover approve api --rollout api-51c0e2d5b3a1",
		hasRollout: true, waits: true,
	},
	{
		verb: operator.Pause, short: "Stop every write to a target but a rollback",
		long: "Until drover resume. Needs the daemon.", example: "  drover pause api",
	},
	{
		verb: operator.Resume, short: "End a pause, a hold or a stuck rollout",
		long: "What runs then is looked at as if for the first time. Needs the daemon.", example: "  drover resume api",
	},
	{
		verb: operator.Retry, short: "Let a digest that was taken back be tried again",
		long: "Needs the daemon.", example: "  drover retry api\n  drover retry api --digest sha256:9ab0…",
		hasDigest: "the digest to try again (default what the tag names, when that does not run, or else the one taken back last)", hasDespite: true, waits: true,
	},
}

// actCommands makes the acting commands.
func actCommands(o *options) []*cobra.Command {
	var made []*cobra.Command
	for i := range actVerbs {
		made = append(made, actCommand(o, &actVerbs[i]))
	}
	return made
}

func actCommand(o *options, v *actVerb) *cobra.Command {
	a := &act{o: o, request: operator.Request{Verb: v.verb}}
	cmd := &cobra.Command{
		Use: string(v.verb) + " TARGET", Short: v.short, Example: v.example,
		Long: v.short + ".\n\n" + v.long + `

TARGET is a name of the configuration or any stack/service. What will happen is
shown first; on a terminal it is asked about.`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: o.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error { return a.run(cmd, args[0]) },
	}
	f := cmd.Flags()
	f.BoolVarP(&a.isSure, "yes", "y", false, "do not ask")
	f.StringVar(&a.request.By, "by", "", "who decides (default user@host)")
	f.BoolVar(&a.asJSON, "json", false, "print what came of it as JSON")
	if v.waits {
		f.BoolVar(&a.noWait, "no-wait", false, "do not wait for what comes of it")
		f.DurationVar(&a.timeout, "timeout", defaultWait, "wait so long at most")
	}
	if v.hasRollout {
		f.StringVar(&a.request.Rollout, "rollout", "", "refuse unless this rollout is the open one")
	}
	if v.hasDigest != "" {
		f.StringVar(&a.request.Digest, "digest", "", v.hasDigest)
	}
	if v.hasDespite {
		f.BoolVar(&a.request.DespiteBaseline, "despite-baseline", false, "although what runs fails too much; needs --digest")
	}
	if v.verb == operator.Upgrade {
		f.StringVar(&a.request.Image, "image", "", "a tag to bring instead of the followed one (*)")
		f.IntVar(&a.request.BatchSize, "batch-size", 0, "containers at a time (default the target's, or 1) (*)")
		f.DurationVar(&a.request.Interval, "interval", 0, "pause between batches (default the target's, or 2s) (*)")
		f.BoolVar(&a.request.StartFirst, "start-first", false, "start new containers before old ones stop (*)")
	}
	return cmd
}

// acted is what came of it.
type acted struct {
	Target string        `json:"target"`
	Verb   operator.Verb `json:"verb"`
	// By is daemon or rancher.
	Through string   `json:"through"`
	Says    []string `json:"says"`
	// Outcome is told when nothing was waited for, nothing when nothing had to be
	// done, or how it ended.
	Outcome string  `json:"outcome"`
	Reason  string  `json:"reason,omitempty"`
	Seconds float64 `json:"seconds"`
}

func (a *act) run(cmd *cobra.Command, name string) error {
	if a.request.By == "" {
		a.request.By = whoami()
	}
	if a.asJSON {
		a.o.language = language.English
	}
	s, err := a.o.reach(cmd).session(cmd.Context(), name)
	if err != nil {
		return err
	}
	plan, err := operator.MakePlan(s.LookFor(cmd.Context(), a.request), a.request)
	if err != nil {
		return explain(a.o.language, err)
	}
	if plan.Nothing == "" {
		if err := a.agree(cmd, s.Subject.Key(), plan); err != nil {
			return err
		}
		if err := s.Do(cmd.Context(), plan); err != nil && !operator.IsUnknown(err) {
			return explain(a.o.language, err)
		}
	}
	return a.see(cmd, s, plan)
}

// agree shows what will happen and asks a person.
func (a *act) agree(cmd *cobra.Command, key string, p operator.Plan) error {
	out := cmd.ErrOrStderr()
	fmt.Fprintf(out, "%s %s:\n", p.Verb, key)
	for _, s := range p.Says {
		fmt.Fprintf(out, "  %s\n", oneLine(s))
	}
	if a.isSure || !isTerminal(cmd.InOrStdin()) {
		return nil
	}
	return confirm(cmd.InOrStdin(), out, a.o.language)
}

// see waits for what comes of it, and tells.
func (a *act) see(cmd *cobra.Command, s *operator.Session, p operator.Plan) error {
	begun := time.Now()
	result := acted{Target: s.Subject.Key(), Verb: p.Verb, Through: "rancher", Says: p.Says, Outcome: "told"}
	if p.Command != nil {
		result.Through = "daemon"
	}
	var ended error
	switch {
	case p.Nothing != "":
		result.Outcome, result.Reason, result.Says = "nothing", p.Nothing, []string{}
	case p.Goal == operator.NoGoal || a.noWait:
	default:
		var track operator.Track
		track, ended = await(cmd, s, p.Track, p.Goal, a.timeout)
		result.Outcome, result.Reason = outcomeOf(p, track), track.Reason
	}
	result.Seconds = time.Since(begun).Seconds()
	if err := a.print(cmd.OutOrStdout(), result); err != nil {
		return err
	}
	return ended
}

func (a *act) print(out io.Writer, r acted) error {
	if a.asJSON {
		return printJSON(out, r)
	}
	l := a.o.language
	var err error
	switch r.Outcome {
	case "nothing":
		_, err = fmt.Fprintln(out, l.Sprintf("nothing to do: %s", oneLine(r.Reason)))
	case "told":
		_, err = fmt.Fprintln(out, l.Sprintf("%s: %s told to %s, by %s", r.Target, r.Verb, r.Through, oneLine(a.request.By)))
	case "":
	default:
		_, err = fmt.Fprintln(out, l.Sprintf("%s: %s after %s", r.Target, outcomeIn(l, r.Outcome), time.Duration(r.Seconds*float64(time.Second)).Round(time.Second)))
	}
	return err
}

// outcomeIn is an outcome's word, which scripts look for, with what it means where
// that is another language.
func outcomeIn(l language.Language, outcome string) string {
	switch outcome {
	case string(operator.Finished):
		return l.Sprintf("finished")
	case string(operator.RolledBack):
		return l.Sprintf("rolled-back")
	case string(operator.ToUpgraded):
		return l.Sprintf("upgraded")
	case string(operator.ToCanceled):
		return l.Sprintf("canceled")
	case string(operator.NotApplied):
		return l.Sprintf("not-applied")
	case string(operator.TakenOver):
		return l.Sprintf("taken-over")
	}
	return outcome
}

// outcomeOf is the outcome in one word; empty when it did not come to one. A fresh
// upgrade that goes back is a rollback when it is finished.
func outcomeOf(p operator.Plan, t operator.Track) string {
	switch {
	case p.Verb == operator.Rollback && t.Outcome == operator.Finished:
		return string(operator.RolledBack)
	case t.Outcome == operator.Open && t.Has(p.Goal):
		return string(p.Goal)
	}
	return string(t.Outcome)
}

// whoami is user@host, as far as it is known.
func whoami() string {
	name := os.Getenv("USER")
	if u, err := user.Current(); name == "" && err == nil {
		name = u.Username
	}
	if name == "" {
		name = "unknown"
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
