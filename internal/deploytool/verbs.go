package deploytool

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// The further commands act on the upgrade that is open, whoever began it: a person
// asked for them by name.

// open checks that there is such an upgrade, in one of the states.
func (t *tool) open(verb Verb, states ...observe.ServiceState) error {
	for _, s := range states {
		if t.service.State == s {
			t.result.Image, t.result.Version = t.service.Launch.Image, t.service.Launch.Version
			return nil
		}
	}
	return fmt.Errorf("unable to %s: the state of %s is '%s', not '%s'", verb, t.name(), t.service.State, states[0])
}

// finishPending finishes an upgraded service.
func (t *tool) finishPending(ctx context.Context) error {
	if err := t.open(Finish, observe.StateUpgraded); err != nil {
		return err
	}
	return t.finish(ctx)
}

// takeBack rolls an open upgrade back.
func (t *tool) takeBack(ctx context.Context) error {
	if err := t.open(Rollback, observe.StateUpgraded, observe.StateUpgrading, observe.StateCanceledUpgrade); err != nil {
		return err
	}
	if u := t.service.Upgrade; u != nil {
		t.before.Launch = u.From
		t.result.PreviousImage = u.From.Image
	}
	return t.rollBack(ctx)
}

// cancel stops an upgrade, or a finish that hangs, where it is.
func (t *tool) cancel(ctx context.Context) error {
	if err := t.open(Cancel, observe.StateUpgrading, observe.StateFinishingUpgrade); err != nil {
		return err
	}
	t.say.warn("Canceling the upgrade...")
	if _, err := t.client.CancelUpgrade(ctx, t.service.ID); err != nil && !isUnknown(err) {
		return fmt.Errorf("unable to cancel the upgrade in Rancher: %w", err)
	}
	err := t.await(ctx, t.timeout(), t.becomes(observe.StateCanceledUpgrade))
	if errors.Is(err, errTimeout) {
		return fmt.Errorf("a timeout occurred while Rancher was canceling the upgrade: %w", err)
	}
	if err != nil {
		return err
	}
	t.say.warn("Upgrade canceled where it was; `rollback` takes it back")
	t.result.Outcome = Canceled
	return nil
}

// status tells how the service is.
func (t *tool) status() error {
	s := &t.service
	t.result.Image, t.result.Version, t.result.Outcome = s.Launch.Image, s.Launch.Version, Shown
	t.say.progress("%s in environment %s: %s", t.name(), t.environment.Name, t.lastSeen(""))
	t.say.progress("Image %s, scale %d, offers %s", s.Launch.Image, s.Scale, strings.Join(s.Actions, " "))
	if s.ContainersProblem != nil {
		return &unreadError{s.ContainersProblem}
	}
	for i := range s.Containers {
		c := &s.Containers[i]
		age := "old"
		if c.LaunchName != "" {
			age = "sidekick"
		} else if c.Version == s.Launch.Version {
			age = "new"
		}
		health := c.Health
		if health == "" {
			health = "not checked"
		}
		t.say.progress("  %s %s: %s, %s, %s", c.Name, age, c.State, health, c.Image)
	}
	return nil
}
