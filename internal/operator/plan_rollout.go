package operator

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// planFinish ends the upgrade under way: the point of no return.
func planFinish(s *Sight, r Request) (Plan, error) {
	if err := s.checkRollout(r); err != nil {
		return Plan{}, err
	}
	if s.isDaemons() {
		return told(s, controller.Command{Verb: controller.Finish}, r, ToFinished,
			s.Language.Sprintf("the daemon finishes rollout %s to %s as soon as every container is proved%s", s.open().ID, web.Short(s.open().To), s.skipped()),
			s.removedByFinish()), nil
	}
	switch problem := s.Unproved(); {
	case s.Service.State == observe.StateUpgrading:
		return Plan{}, s.refuse("%s is still upgrading (%s): finish it when it is upgraded, `drover wait --for upgraded` waits for that", s.Subject.Key(), s.Standing())
	case s.Service.State == observe.StateActive:
		return Plan{}, s.refuse("%s has no upgrade under way: %s", s.Subject.Key(), s.Standing())
	case !s.offers(reconcile.FinishUpgrade):
		return Plan{}, s.refuse("%s is %s, and Rancher does not offer to finish%s", s.Subject.Key(), s.Service.State, s.wayOut())
	case problem != "":
		return Plan{}, s.refuse("%s is upgraded, but %s: an upgrade that is not proved is not finished", s.Subject.Key(), problem)
	}
	return byHand(s, ToFinished,
		s.Language.Sprintf("Rancher finishes the upgrade of %s to %s", s.Subject.Key(), ShortImage(s.Service.Launch.Image)),
		s.removedByFinish()), nil
}

// skipped is what an early finish does without.
func (s *Sight) skipped() string {
	if until := s.Daemon.BakeUntil; until.After(s.At) {
		return s.Language.Sprintf(", without the %s that are left of the bake and without the gates", Clock(until.Sub(s.At)))
	}
	return s.Language.Sprintf(", without bake and gates")
}

// wayOut is what leads out of a state that Rancher offers little in.
func (s *Sight) wayOut() string {
	switch {
	case s.offers(reconcile.CancelUpgrade):
		return s.Language.Sprintf(": should it hang, `drover cancel` and then `drover rollback` lead out")
	case s.offers(reconcile.Rollback):
		return s.Language.Sprintf(": `drover rollback` leads out")
	}
	return ""
}

// removedByFinish says what cannot be undone.
func (s *Sight) removedByFinish() string {
	switch old := s.names(logs.VersionOld); len(old) {
	case 0:
		return s.Language.Sprintf("the old containers are removed, and Rancher's own way back with them")
	case 1:
		return s.Language.Sprintf("%s is removed, and Rancher's own way back with it", old[0])
	default:
		return s.Language.Sprintf("%s are removed, and Rancher's own way back with them", s.list(old))
	}
}

// planRollback takes back what is under way, or else what was finished last.
func planRollback(s *Sight, r Request) (Plan, error) {
	if err := s.checkRollout(r); err != nil {
		return Plan{}, err
	}
	switch {
	case s.isDaemons():
		return s.toldRollback(r)
	case s.Service.State == observe.StateRollingBack:
		p := byHand(s, ToRolledBack)
		p.Nothing = s.Language.Sprintf("%s is being rolled back already", s.Subject.Key())
		return p, nil
	case s.offers(reconcile.Rollback):
		return byHand(s, ToRolledBack,
			s.Language.Sprintf("Rancher takes %s back to %s", s.Subject.Key(), s.before()), s.removedByRollback()), nil
	case s.Service.State != observe.StateActive:
		return Plan{}, s.refuse("%s is %s, and Rancher does not offer to roll back%s", s.Subject.Key(), s.Service.State, s.wayOut())
	}
	return planRestore(s, r)
}

func (s *Sight) toldRollback(r Request) (Plan, error) {
	open := s.open()
	if open.Kind == reconcile.Restore {
		return Plan{}, s.refuse("rollout %s is itself a way back: it is not rolled back; `drover cancel` stops it", open.ID)
	}
	says := []string{s.Language.Sprintf("the daemon takes rollout %s back: Rancher goes back to %s", open.ID, cmp.Or(web.Short(open.From), s.Language.Sprintf("what ran before")))}
	says = append(says, s.removedByRollback())
	if open.Kind == reconcile.Deploy {
		says = append(says, s.Language.Sprintf("%s is quarantined: only a newer image or `drover retry` moves the target again", web.Short(open.To)))
	}
	return told(s, controller.Command{Verb: controller.Abort}, r, ToRolledBack, says...), nil
}

// before is what an upgrade under way replaced.
func (s *Sight) before() string {
	if s.Service.Upgrade != nil && s.Service.Upgrade.From.Image != "" {
		return ShortImage(s.Service.Upgrade.From.Image)
	}
	return s.Language.Sprintf("what ran before")
}

func (s *Sight) removedByRollback() string {
	switch fresh := s.names(logs.VersionNew); len(fresh) {
	case 0:
		return s.Language.Sprintf("the new containers are removed, and their logs with them")
	case 1:
		return s.Language.Sprintf("%s is removed, and its log with it", fresh[0])
	default:
		return s.Language.Sprintf("%s are removed, and their logs with them", s.list(fresh))
	}
}

// planRestore goes back from a finished rollout, by a fresh upgrade.
func planRestore(s *Sight, r Request) (Plan, error) {
	if s.Back == nil {
		return Plan{}, s.refuse("%s has no upgrade under way, and there is no way back from the last one: %s", s.Subject.Key(), cmp.Or(s.BackProblem, s.Language.Sprintf("none is known")))
	}
	what := s.Language.Sprintf("a fresh upgrade goes back to %s%s, with the whole launch configuration that %s kept", web.Short(s.Back.Digest), s.ranUntil(s.Back.Ran), s.Back.Source)
	if s.Daemon == nil || s.Daemon.Holding != "" {
		p := byHand(s, ToUpgraded, what, s.Language.Sprintf("it stops at upgraded: `drover finish` or `drover rollback` then decides"))
		p.upgrade = s.spec(r, s.pinnedBack())
		p.upgrade.Base, p.upgrade.BaseSecondary = s.Back.Restoring.Base, s.Back.Restoring.BaseSecondary
		p.Track = p.Track.wants(s.Back.Digest)
		return p, nil
	}
	p := told(s, controller.Command{Verb: controller.Restore, Digest: s.Back.Digest}, r, ToFinished, s.Language.Sprintf("%s, judged by the same gates", what),
		s.Language.Sprintf("%s is quarantined: only a newer image or `drover retry` moves the target again", web.Short(s.Daemon.Running)))
	p.Track = p.Track.wants(s.Back.Digest)
	return p, nil
}

func (s *Sight) ranUntil(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return s.Language.Sprintf(", which ran until %s", at.Local().Format("2006-01-02 15:04"))
}

// pinnedBack is the image to go back to, by its digest.
func (s *Sight) pinnedBack() string {
	if DigestOf(s.Back.Image) != "" {
		return s.Back.Image
	}
	repository, _ := splitImage(s.Back.Image)
	return repository + "@" + s.Back.Digest
}

// planCancel stops an upgrade, or a finish that hangs, where it is.
func planCancel(s *Sight, r Request) (Plan, error) {
	if err := s.checkRollout(r); err != nil {
		return Plan{}, err
	}
	if !s.offers(reconcile.CancelUpgrade) && s.Service.Problem == nil {
		return Plan{}, s.refuse("%s is %s: only an upgrade or a finish under way can be cancelled", s.Subject.Key(), s.Service.State)
	}
	says := []string{
		s.Language.Sprintf("Rancher stops where it is: old and new containers stay side by side, and nothing goes on by itself"),
		s.Language.Sprintf("`drover rollback` takes it back from there"),
	}
	if s.isDaemons() {
		return told(s, controller.Command{Verb: controller.Cancel}, r, ToCanceled, says...), nil
	}
	return byHand(s, ToCanceled, says...), nil
}

// list is some names, in a sentence.
func (s *Sight) list(names []string) string {
	const shown = 4
	if len(names) > shown {
		return s.Language.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
	}
	return strings.Join(names, ", ")
}

// Clock is a duration as a countdown shows it: 03:12, or 1:03:12.
func Clock(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	h, m, sec := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	if h > 0 {
		return fmt.Sprintf("%d:%02d:%02d", h, m, sec)
	}
	return fmt.Sprintf("%02d:%02d", m, sec)
}
