package deploytool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// mayStart are the states in which an upgrade begins. Cattle takes one from
// inactive as well, but starts the service then, which somebody has stopped.
var mayStart = []observe.ServiceState{observe.StateActive, observe.StateActivating, observe.StateUpdatingActive}

// upgrade is the tool's own work, from a service that was found to its finish.
func (t *tool) upgrade(ctx context.Context) error {
	if err := t.settle(ctx); err != nil {
		return err
	}
	t.before = t.service
	t.result.PreviousImage = t.service.Launch.Image
	if isUnderWay := t.service.State == observe.StateUpgrading; isUnderWay {
		t.adopt()
	} else if err := t.start(ctx); err != nil {
		return err
	}
	t.result.Image, t.result.Version = t.service.Launch.Image, t.service.Launch.Version
	if !t.o.Wait {
		t.say.progress("Upgrade started")
		t.result.Outcome = Started
		return nil
	}
	t.say.progress("Upgrade started, waiting for upgrade to complete...")
	if err := t.complete(ctx); err != nil || t.result.Outcome != "" {
		return err
	}
	if !t.o.Finish {
		t.say.progress("Service upgraded")
		t.result.Outcome = Upgraded
		return nil
	}
	return t.finish(ctx)
}

// settle sees to it that an upgrade may begin, or that the one under way is what is
// asked for.
func (t *tool) settle(ctx context.Context) error {
	switch s := &t.service; {
	case s.State == observe.StateUpgraded && t.o.KeepPending:
		return fmt.Errorf("unable to start the upgrade: the service is 'upgraded' by a previous upgrade, which --keep-pending leaves alone")
	case s.State == observe.StateUpgraded:
		t.say.warn("The service is 'upgraded': finishing the previous upgrade before the new one starts...")
		return t.finishPrevious(ctx)
	case slices.Contains(mayStart, s.State):
		return nil
	case s.State == observe.StateUpgrading && t.image(s.Launch.Image) == s.Launch.Image && t.namesImage():
		return nil
	default:
		return fmt.Errorf("unable to start the upgrade: the state of the service is '%s', but it needs to be 'active'", s.State)
	}
}

// namesImage says whether the options say what shall run.
func (t *tool) namesImage() bool { return t.o.NewImage != "" || t.o.Digest != "" }

// image is what the options make of the image that runs; "" when there is none.
func (t *tool) image(running string) string {
	image := t.o.NewImage
	if t.o.Digest == "" {
		if image == "" {
			return running
		}
		return image
	}
	if image == "" {
		image = running
	}
	if image == "" {
		return ""
	}
	return repository(image) + "@" + t.o.Digest
}

// repository is a reference without tag and digest.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndexByte(image, ':'); colon > strings.LastIndexByte(image, '/') {
		image = image[:colon]
	}
	return image
}

// finishPrevious finishes the upgrade that somebody left open.
func (t *tool) finishPrevious(ctx context.Context) error {
	version := t.service.Launch.Version
	if _, err := t.client.FinishUpgrade(ctx, t.service.ID, version); err != nil && !isUnknown(err) {
		return fmt.Errorf("unable to finish the previous upgrade in Rancher: %w", err)
	}
	err := t.await(ctx, t.timeout(), t.becomes(observe.StateActive))
	if errors.Is(err, errTimeout) {
		return fmt.Errorf("a timeout occurred while Rancher was finishing the previous upgrade: %w", err)
	}
	return err
}

// adopt goes on with an upgrade to the image that is asked for: a job that was
// retried, or whose first run was cut short.
func (t *tool) adopt() {
	if u := t.service.Upgrade; u != nil {
		t.before.Launch = u.From
		t.result.PreviousImage = u.From.Image
	}
	t.say.warn("An upgrade of %s to %s is under way already: waiting for that one", t.name(), t.service.Launch.Image)
}

// start sends the upgrade.
func (t *tool) start(ctx context.Context) error {
	spec, err := t.spec()
	if err != nil {
		return err
	}
	t.say.progress("Upgrading %s in environment %s...", t.name(), t.environment.Name)
	prepared, err := t.client.PrepareReplace(ctx, spec)
	if err != nil {
		return fmt.Errorf("unable to request an upgrade on Rancher: %w", err)
	}
	t.warnOfLosses(prepared)
	s, err := t.client.Upgrade(ctx, prepared)
	if isUnknown(err) {
		s, err = t.confirm(ctx, err)
	}
	if err != nil {
		return fmt.Errorf("unable to request an upgrade on Rancher: %w", err)
	}
	t.take(s)
	return nil
}

// spec is what the options ask for.
func (t *tool) spec() (rancher.ReplaceSpec, error) {
	labels, errLabels := t.o.labels()
	variables, errVariables := t.o.variables()
	if err := errors.Join(errLabels, errVariables); err != nil {
		return rancher.ReplaceSpec{}, err
	}
	spec := rancher.ReplaceSpec{
		ServiceID: t.service.ID, ExpectVersion: t.service.Launch.Version, From: mayStart,
		Labels: replacement(labels, t.o.LabelMode), Environment: replacement(variables, t.o.EnvMode),
		Sidekicks: t.o.Sidekicks, SidekickImages: map[string]string{},
		BatchSize: t.o.BatchSize, Interval: time.Duration(t.o.BatchInterval) * time.Second, StartFirst: t.o.StartFirst,
	}
	if t.namesImage() {
		spec.Image = t.image(t.service.Launch.Image)
	}
	for _, p := range t.o.SidekickImages {
		spec.SidekickImages[p.Key] = p.Value
		if !slices.ContainsFunc(t.service.Secondary, func(l observe.Launch) bool { return l.Name == p.Key }) {
			t.say.warn("%s has no sidekick '%s': its image is left out", t.name(), p.Key)
		}
	}
	return spec, nil
}

// replacement is nil where nothing was given, which leaves what there is.
func replacement(values map[string]string, mode Mode) *rancher.Replacement {
	if len(values) == 0 {
		return nil
	}
	return &rancher.Replacement{Values: values, Merge: mode == Merge}
}

// warnOfLosses tells what a replacement drops: the tool's users found out the hard
// way (#56, #69).
func (t *tool) warnOfLosses(p *rancher.Prepared) {
	if own := slices.DeleteFunc(slices.Clone(p.DroppedLabels), func(key string) bool {
		return !strings.HasPrefix(key, "io.rancher.")
	}); len(own) > 0 {
		t.say.warn("WARNING: the labels are replaced, and Rancher's own %s are dropped; --label-mode merge keeps them", strings.Join(own, ", "))
	} else if len(p.DroppedLabels) > 0 {
		t.say.warn("The labels are replaced, %s are dropped; --label-mode merge keeps them", strings.Join(p.DroppedLabels, ", "))
	}
	if len(p.DroppedVariables) > 0 {
		t.say.warn("WARNING: the environment is replaced, and %s are dropped; --env-mode merge keeps them", strings.Join(p.DroppedVariables, ", "))
	}
}

// isUnknown says that a write may have been applied all the same.
func isUnknown(err error) bool {
	var e *rancher.Error
	return errors.As(err, &e) && e.Unknown()
}

// confirmTime is how long a lost answer is looked for in what the service shows.
const confirmTime = 30 * time.Second

// confirm looks whether an upgrade whose answer was lost is under way: the same
// write is never sent again.
func (t *tool) confirm(ctx context.Context, lost error) (observe.Service, error) {
	before, wanted := t.service.Launch.Version, t.image(t.service.Launch.Image)
	t.say.warn("The answer of Rancher was lost, looking whether the upgrade is under way...")
	err := t.await(ctx, confirmTime, func(s *observe.Service) (bool, error) {
		return s.Launch.Version != before, nil
	})
	switch {
	case err != nil || t.service.Launch.Image != wanted:
		return t.service, lost
	default:
		return t.service, nil
	}
}

// finish commits the upgrade, which is the point of no return for Rancher's way back.
func (t *tool) finish(ctx context.Context) error {
	t.say.progress("Finishing upgrade...")
	version := t.service.Launch.Version
	if _, err := t.client.FinishUpgrade(ctx, t.service.ID, version); err != nil && !isUnknown(err) {
		return t.failed(onError, fmt.Errorf("unable to finish the upgrade in Rancher: %w", err))
	}
	err := t.await(ctx, t.timeout(), t.becomes(observe.StateActive))
	switch {
	case errors.Is(err, errTimeout):
		return fmt.Errorf("a timeout occurred while Rancher was finishing the upgrade: %w", err)
	case err != nil:
		return err
	case t.service.Launch.Version != version:
		return fmt.Errorf("somebody else changed %s while it was finished: it runs %s", t.name(), t.service.Launch.Image)
	}
	t.say.progress("Upgrade finished")
	t.result.Outcome = Finished
	return nil
}
