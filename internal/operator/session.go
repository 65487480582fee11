package operator

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// Daemon is what is asked of the daemon. *web.Client satisfies it.
type Daemon interface {
	Look(ctx context.Context, key string) (web.Detail, error)
	WayBack(ctx context.Context, key, digest string) (web.WayBack, error)
	Tell(ctx context.Context, key string, cmd controller.Command) (web.View, error)
}

// Rancher is what is asked of Rancher, and done there. *rancher.Client satisfies
// it; it must be allowed to act on the session's service, and on no other.
type Rancher interface {
	Service(ctx context.Context, stack, name string) observe.Service
	Hosts(ctx context.Context) observe.Hosts
	PrepareUpgrade(ctx context.Context, spec rancher.UpgradeSpec) (*rancher.Prepared, error)
	Upgrade(ctx context.Context, p *rancher.Prepared) (observe.Service, error)
	FinishUpgrade(ctx context.Context, id, expectVersion string) (observe.Service, error)
	Rollback(ctx context.Context, id string) (observe.Service, error)
	CancelUpgrade(ctx context.Context, id string) (observe.Service, error)
}

// Images resolves a tag. *registry.Watcher satisfies it.
type Images interface {
	Image(ctx context.Context, ref, platform string) observe.Image
}

// Session is a person at one service.
type Session struct {
	Subject Subject
	// Daemon may be nil.
	Daemon Daemon
	// NoDaemon is why Daemon is nil, or what is said when nobody answers.
	NoDaemon string
	// Rancher may be nil where only the daemon is known; NoRancher says why.
	Rancher   Rancher
	NoRancher string
	// Images may be nil: then no tag is resolved.
	Images Images
	// StateDir is where a journal may be that knows the way back.
	StateDir string
	// Now is the clock.
	Now func() time.Time
	// Language is the person's.
	Language language.Language

	// last is what the daemon said last.
	last *web.Detail
}

// Look looks once. What could not be read is said in the sight.
func (s *Session) Look(ctx context.Context) Sight {
	sight := Sight{At: s.Now(), Subject: s.Subject, Language: s.Language, Alone: s.NoDaemon}
	s.lookDaemon(ctx, &sight)
	s.lookRancher(ctx, &sight)
	return sight
}

func (s *Session) lookDaemon(ctx context.Context, sight *Sight) {
	if s.Daemon == nil {
		return
	}
	d, err := s.Daemon.Look(ctx, s.Subject.Key())
	var status *web.StatusError
	switch {
	case err == nil:
		s.last, sight.Daemon = &d, &d
	case errors.As(err, &status) && status.NotFound():
		s.last, sight.Alone = nil, s.Language.Sprintf("the daemon does not look after %s", s.Subject.Key())
	case errors.Is(err, web.ErrNoDaemon) && s.last == nil:
	default:
		// A daemon that answered a moment ago may come back: what it said last is
		// shown, and that it is old.
		sight.Daemon, sight.DaemonProblem = s.last, err.Error()
	}
}

func (s *Session) lookRancher(ctx context.Context, sight *Sight) {
	switch {
	case s.Rancher != nil:
		sight.Service = s.Rancher.Service(ctx, s.Subject.Stack, s.Subject.Service)
		if sight.Service.Global {
			sight.ActiveHosts = s.Rancher.Hosts(ctx).Active
		}
	case sight.Daemon != nil && sight.Daemon.Observed != nil:
		sight.Service, sight.ActiveHosts = sight.Daemon.Observed.Service, sight.Daemon.Observed.Hosts.Active
	default:
		sight.Service.Problem = &observe.Problem{Cause: observe.CauseUnusable, Message: s.NoRancher}
	}
}

// LookFor looks for a plan of a verb: at the registry for an upgrade, and for a way
// back where nothing is under way that could be taken back.
func (s *Session) LookFor(ctx context.Context, r Request) Sight {
	sight := s.Look(ctx)
	switch {
	case r.Verb == Upgrade:
		sight.Image = s.image(ctx, &sight, r.Image)
	case r.Verb == Rollback && sight.open() == nil && sight.Service.State == observe.StateActive:
		s.lookBack(ctx, &sight, r.Digest)
	}
	return sight
}

// image is what the followed tag names: the target's, or the one that the service
// was last brought up from.
func (s *Session) image(ctx context.Context, sight *Sight, asked string) observe.Image {
	if sight.Daemon != nil && sight.Daemon.Holding == "" {
		return observe.Image{Ref: sight.Daemon.Image} // The daemon knows it.
	}
	ref, platform := cmp.Or(asked, s.Subject.Image), ""
	if s.Subject.Target != nil {
		platform = s.Subject.Target.Platform
	}
	if ref == "" {
		ref = FollowedTag(&sight.Service)
	}
	if ref == "" || s.Images == nil {
		return observe.Image{Ref: ref}
	}
	image := s.Images.Image(ctx, ref, platform)
	image.Ref = ref
	return image
}

// FollowedTag is the tag that a service that nobody targets was brought up from.
func FollowedTag(svc *observe.Service) string {
	if tag := svc.Launch.Labels[reconcile.LabelImage]; tag != "" {
		return tag
	}
	if DigestOf(svc.Launch.Image) == "" {
		return svc.Launch.Image
	}
	return ""
}

// lookBack finds what a finished rollout can be taken back to.
func (s *Session) lookBack(ctx context.Context, sight *Sight, digest string) {
	var err error
	if sight.Daemon != nil && sight.Daemon.Holding == "" {
		var back web.WayBack
		if back, err = s.Daemon.WayBack(ctx, s.Subject.Key(), digest); err == nil {
			sight.Back = &Back{Digest: back.Digest, Image: back.Image, Ran: back.Until, Source: s.Language.Sprintf("the journal")}
		}
	} else {
		sight.Back, err = s.journaledBack(sight, digest)
	}
	if err != nil {
		sight.BackProblem = err.Error()
	}
}

// journaledBack reads the way back from the journal itself, without the daemon.
func (s *Session) journaledBack(sight *Sight, digest string) (*Back, error) {
	r, err := journal.OpenReadOnly(s.StateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, s.Language.Errorf("there is no journal in %s that would know it", s.StateDir)
	}
	if err != nil {
		return nil, err
	}
	histories, err := controller.Histories(r.Replay)
	if err != nil {
		return nil, err
	}
	h := histories[s.Subject.Key()]
	if runs := DigestOf(sight.Service.Launch.Image); runs != "" {
		h.Baseline = &reconcile.Baseline{Part: reconcile.Part{Image: sight.Service.Launch.Image, Digest: runs}}
	}
	back, err := controller.WayBack(h, r.History, s.Subject.Key(), digest)
	if err != nil {
		return nil, err
	}
	return &Back{Digest: back.To.Digest, Image: s.imageOf(back, sight), Ran: back.At, Source: s.Language.Sprintf("the journal"), Restoring: back}, nil
}

// imageOf names a repository for a way back whose image was a bare tag.
func (s *Session) imageOf(back *reconcile.Restoring, sight *Sight) string {
	if back.To.Image != "" {
		return back.To.Image
	}
	return sight.Service.Launch.Image
}

// Do carries a plan out.
func (s *Session) Do(ctx context.Context, p Plan) error {
	switch {
	case p.Nothing != "":
		return nil
	case p.Command != nil:
		_, err := s.Daemon.Tell(ctx, s.Subject.Key(), *p.Command)
		var status *web.StatusError
		if errors.As(err, &status) && status.Refused() {
			return &RefusedError{Reason: status.Reason}
		}
		return err
	case p.upgrade != nil:
		return refusal(s.upgrade(ctx, p))
	}
	var err error
	switch p.Verb {
	case Finish:
		_, err = s.Rancher.FinishUpgrade(ctx, p.serviceID, p.version)
	case Rollback:
		_, err = s.Rancher.Rollback(ctx, p.serviceID)
	case Cancel:
		_, err = s.Rancher.CancelUpgrade(ctx, p.serviceID)
	default:
		err = &RefusedError{Reason: s.Language.Sprintf("nothing can be done in Rancher for %s", p.Verb)}
	}
	return refusal(err)
}

func (s *Session) upgrade(ctx context.Context, p Plan) error {
	prepared, err := s.Rancher.PrepareUpgrade(ctx, *p.upgrade)
	if err != nil {
		return err
	}
	_, err = s.Rancher.Upgrade(ctx, prepared)
	return err
}

// refusal tells what Rancher or the guard before it refuses from what failed.
func refusal(err error) error {
	var unsafe *rancher.UnsafeError
	var known *rancher.Error
	switch {
	case errors.As(err, &unsafe):
		return &RefusedError{Reason: err.Error()}
	case errors.As(err, &known) && !known.Unknown() && (known.Code == rancher.CodeChanged || known.Conflict() || known.Invalid()):
		return &RefusedError{Reason: err.Error()}
	}
	return err
}

// IsUnknown says that an action may have been taken although its answer was lost:
// what came of it is found out by looking, never by sending it again.
func IsUnknown(err error) bool {
	var known *rancher.Error
	return errors.As(err, &known) && known.Unknown()
}

// Follow looks again and again until a goal is reached, another outcome is, or ctx
// ends, and tells each track. The track it returns is the last; the error is
// ctx's cause.
func (s *Session) Follow(ctx context.Context, t Track, goal Goal, every time.Duration, tell func(Track, Sight)) (Track, error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		sight := s.Look(ctx)
		if ctx.Err() != nil {
			return t, context.Cause(ctx)
		}
		t = t.Take(sight)
		tell(t, sight)
		if t.Has(goal) || t.Outcome != Open {
			return t, nil
		}
		select {
		case <-ctx.Done():
			return t, context.Cause(ctx)
		case <-tick.C:
		}
	}
}
