package operator

import (
	"cmp"
	"fmt"
	"maps"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// planMemory is what only the daemon can remember.
func planMemory(s *Sight, r Request) (Plan, error) {
	if s.Daemon == nil {
		return Plan{}, &NeedsDaemonError{Verb: r.Verb, Why: s.Alone, Language: s.Language}
	}
	if err := s.checkRollout(r); err != nil {
		return Plan{}, err
	}
	switch r.Verb {
	case Pause:
		return s.pause(r)
	case Resume:
		return s.resume(r)
	case Approve:
		return s.approve(r)
	default:
		return s.retry(r)
	}
}

func (s *Sight) pause(r Request) (Plan, error) {
	says := s.Language.Sprintf("nothing starts and nothing is finished any more, until `drover resume`")
	if open := s.open(); open != nil {
		says += s.Language.Sprintf("; rollout %s is still judged, and taken back when a gate fails", open.ID)
	}
	p := told(s, controller.Command{Verb: controller.Pause}, r, NoGoal, says)
	if by := s.Daemon.PausedBy; by != "" {
		p.Nothing = s.Language.Sprintf("%s is paused already, by %s", s.Subject.Key(), by)
	}
	return p, nil
}

func (s *Sight) resume(r Request) (Plan, error) {
	d := s.Daemon
	var says []string
	if d.PausedBy != "" {
		says = append(says, s.Language.Sprintf("the pause by %s ends", d.PausedBy))
	}
	if d.Holding != "" || d.Phase == reconcile.Stuck {
		says = append(says, s.Language.Sprintf("the daemon takes the service over as it is now (%s), as if it saw it for the first time", s.Standing()))
	}
	p := told(s, controller.Command{Verb: controller.Resume}, r, NoGoal, says...)
	if len(says) == 0 {
		p.Nothing = s.Language.Sprintf("%s is neither paused nor held nor stuck", s.Subject.Key())
	}
	return p, nil
}

func (s *Sight) approve(r Request) (Plan, error) {
	open := s.open()
	switch {
	case open == nil:
		return Plan{}, s.refuse("no rollout is open")
	case s.Daemon.Phase == reconcile.Stuck:
		return Plan{}, s.refuse("rollout %s is stuck: %s", open.ID, s.Daemon.Reason)
	}
	return told(s, controller.Command{Verb: controller.Approve}, r, ToFinished,
		s.Language.Sprintf("the daemon finishes rollout %s to %s once every gate has passed (now: %s)", open.ID, web.Short(open.To), s.Daemon.Reason),
		s.removedByFinish()), nil
}

func (s *Sight) retry(r Request) (Plan, error) {
	d := s.Daemon
	digest := cmp.Or(r.Digest, s.heldBack())
	if digest == "" || r.DespiteBaseline && r.Digest == "" {
		return Plan{}, s.refuse("name the digest to try again (--digest)")
	}
	says := s.Language.Sprintf("%s may be tried once more", web.Short(digest))
	switch q, is := d.Quarantine[digest]; {
	case is:
		says += s.Language.Sprintf("; it is quarantined because: %s", q.Reason)
	case digest == d.Wanted && digest != d.Running && s.open() == nil:
		return s.toldUpgrade(r) // Nothing was taken back: it only waits.
	}
	p := told(s, retryCommand(digest, r), r, ToFinished, append([]string{says}, s.despiteBaseline(r)...)...)
	p.Track = p.Track.wants(digest)
	if d.Wanted != digest && s.open() == nil {
		p.Goal = NoGoal
		p.Says = append(p.Says, s.startsInstead())
	}
	return p, nil
}

// heldBack is the digest that retry is about when nobody names one: what the tag
// names and the service does not run, or else the one that was taken back last.
func (s *Sight) heldBack() string {
	d := s.Daemon
	if s.open() == nil && d.Wanted != d.Running && d.Wanted != "" {
		return d.Wanted
	}
	if d.Last != nil && d.Last.Outcome != reconcile.Finished {
		return d.Last.To
	}
	return ""
}

// startsInstead says what a retry of another digest than the tag's leads to.
func (s *Sight) startsInstead() string {
	d := s.Daemon
	wanted := cmp.Or(web.Short(d.Wanted), s.Language.Sprintf("what could not be read yet"))
	if d.Code == reconcile.CodeBackoff {
		return s.Language.Sprintf("the tag names %s, and that starts now: the back-off ends for it too", wanted)
	}
	return s.Language.Sprintf("nothing starts now: the tag names %s", wanted)
}

func retryCommand(digest string, r Request) controller.Command {
	return controller.Command{Verb: controller.Retry, Digest: digest, DespiteBaseline: r.DespiteBaseline}
}

// despiteBaseline says what a person takes upon themselves.
func (s *Sight) despiteBaseline(r Request) []string {
	if !r.DespiteBaseline {
		return nil
	}
	return []string{s.Language.Sprintf("it starts although what runs now fails more than is allowed; the new version is held to that, and passes only below the limit")}
}

// planUpgrade brings what the followed tag names.
func planUpgrade(s *Sight, r Request) (Plan, error) {
	if s.Daemon != nil && s.Daemon.Holding == "" {
		return s.toldUpgrade(r)
	}
	switch {
	case InUpgrade(s.Service.State):
		return Plan{}, s.refuse("%s is %s: that has to end first", s.Subject.Key(), s.Service.State)
	case s.Service.State != observe.StateActive || !s.offers(reconcile.Upgrade):
		return Plan{}, s.refuse("%s is %s, and Rancher does not offer to upgrade it", s.Subject.Key(), s.Service.State)
	case s.Image.Problem != nil:
		return Plan{}, s.refuse("the registry cannot be asked for %s: %s", s.Image.Ref, s.Image.Problem.Message)
	case s.Image.Digest == "":
		return Plan{}, s.refuse("%s follows no tag that is known here: name one with --image", s.Subject.Key())
	case s.Image.PlatformMissing:
		return Plan{}, s.refuse("%s has nothing for the hosts' platform", s.Image.Ref)
	case r.Digest != "" && r.Digest != s.Image.Digest:
		return Plan{}, s.refuse("%s names %s, not %s", s.Image.Ref, web.Short(s.Image.Digest), web.Short(r.Digest))
	}
	image := s.Image.Repository + "@" + s.Image.Digest
	if s.Service.Launch.Image == image {
		return Plan{Nothing: s.Language.Sprintf("%s runs %s already", s.Subject.Key(), web.Short(s.Image.Digest)), Goal: NoGoal}, nil
	}
	p := byHand(s, ToUpgraded,
		s.Language.Sprintf("Rancher upgrades %s from %s to %s (%s), %s", s.Subject.Key(), ShortImage(s.Service.Launch.Image), web.Short(s.Image.Digest), s.Image.Ref, pace(s, r)),
		s.Language.Sprintf("only the image and the labels io.drover.* change"),
		s.Language.Sprintf("it stops at upgraded: `drover finish` or `drover rollback` then decides"))
	p.upgrade = s.spec(r, image)
	p.Track = p.Track.wants(s.Image.Digest)
	return p, nil
}

func pace(s *Sight, r Request) string {
	spec := s.spec(r, "")
	order := s.Language.Sprintf("old containers stop first")
	if spec.StartFirst {
		order = s.Language.Sprintf("new containers start first")
	}
	return s.Language.Sprintf("%d at a time, %s apart, %s", spec.BatchSize, spec.Interval, order)
}

// toldUpgrade lets the daemon go: a digest that a person asks for passes
// quarantine, back-off and the question about older tags.
func (s *Sight) toldUpgrade(r Request) (Plan, error) {
	d := s.Daemon
	digest := cmp.Or(r.Digest, d.Wanted)
	switch open := s.open(); {
	case open != nil:
		return Plan{}, s.refuse("rollout %s to %s is open: %s", open.ID, web.Short(open.To), d.Reason)
	case r.Image != "" && !SameImage(d.Image, r.Image):
		return Plan{}, s.refuse("the target follows %s, not %s: change it in targets.yaml", d.Image, r.Image)
	case r.DespiteBaseline && r.Digest == "":
		return Plan{}, s.refuse("--despite-baseline is for one digest: name it (--digest; the tag names %s)", cmp.Or(d.Wanted, s.Language.Sprintf("what could not be read yet")))
	case digest == "":
		return Plan{}, s.refuse("the daemon has not read the tag yet: %s", cmp.Or(d.Reason, s.Language.Sprintf("it has not looked")))
	case digest != d.Wanted:
		return Plan{}, s.refuse("the target follows %s, which names %s, not %s", d.Image, web.Short(d.Wanted), web.Short(digest))
	case digest == d.Running && d.Code != reconcile.CodePassedOver:
		return Plan{Nothing: s.Language.Sprintf("%s runs %s already", s.Subject.Key(), web.Short(digest))}, nil
	}
	says := []string{s.Language.Sprintf("the daemon rolls %s out to %s as soon as nothing speaks against it (now: %s)", web.Short(digest), s.Subject.Key(), d.Reason)}
	if q, is := d.Quarantine[digest]; is {
		says = append(says, s.Language.Sprintf("it leaves quarantine, where it is because: %s", q.Reason))
	}
	if d.PausedBy != "" {
		says = append(says, s.Language.Sprintf("the target is paused by %s: nothing starts before `drover resume`", d.PausedBy))
	}
	p := told(s, retryCommand(digest, r), r, ToFinished, append(says, s.despiteBaseline(r)...)...)
	p.Track = p.Track.wants(digest)
	return p, nil
}

// Pacing of an upgrade that neither a target nor a person says.
const (
	defaultBatchSize = 1
	defaultInterval  = 2 * time.Second
)

// spec is an upgrade without the daemon: paced as the target says, signed with who
// asked, so that a daemon that comes later sees that it is not its own.
func (s *Sight) spec(r Request, image string) *rancher.UpgradeSpec {
	spec := &rancher.UpgradeSpec{
		ServiceID: s.Service.ID, ExpectVersion: s.Service.Launch.Version, Image: image,
		BatchSize: r.BatchSize, Interval: r.Interval, StartFirst: r.StartFirst,
	}
	if t := s.Subject.Target; t != nil {
		spec.BatchSize = cmp.Or(spec.BatchSize, t.Rollout.BatchSize)
		spec.Interval = cmp.Or(spec.Interval, t.Rollout.Interval.Duration)
		spec.StartFirst = spec.StartFirst || t.Rollout.StartFirst != nil && *t.Rollout.StartFirst
	}
	spec.BatchSize = cmp.Or(spec.BatchSize, defaultBatchSize)
	spec.Interval = cmp.Or(spec.Interval, defaultInterval)
	spec.Labels = map[string]string{
		reconcile.LabelRollout: fmt.Sprintf("%s-by-hand-%d", s.Subject.Service, s.At.Unix()),
		reconcile.LabelImage:   cmp.Or(s.Image.Ref, s.Subject.Image), reconcile.LabelFrom: DigestOf(s.Service.Launch.Image), reconcile.LabelTo: DigestOf(image),
		reconcile.LabelStarted: s.At.UTC().Format(time.RFC3339), reconcile.LabelOwner: r.By, reconcile.LabelKind: string(reconcile.Deploy),
		reconcile.LabelRevision: s.Image.Revision,
	}
	maps.DeleteFunc(spec.Labels, func(_, value string) bool { return value == "" })
	return spec
}
