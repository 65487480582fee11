package deploytool

import (
	"context"
	"errors"
	"fmt"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// failed answers a failure of the rollout: by a rollback where that is asked for.
// It returns nil when the service was rolled back; the call fails all the same.
func (t *tool) failed(kind string, cause error) error {
	if !t.o.rollsBack(kind) {
		return cause
	}
	t.say.fail(cause)
	t.result.Error = cause.Error()
	return t.rollBack(t.signals)
}

// rollBack takes this call's upgrade back.
func (t *tool) rollBack(ctx context.Context) error {
	if t.service.Launch.Version != t.result.Version {
		return fmt.Errorf("unable to request a rollback on Rancher: somebody else changed %s, which runs %s", t.name(), t.service.Launch.Image)
	}
	t.say.warn("Rollback in progress...")
	if _, err := t.client.Rollback(ctx, t.service.ID); err != nil && !isUnknown(err) {
		return fmt.Errorf("unable to request a rollback on Rancher: %w", err)
	}
	err := t.await(ctx, t.timeout(), t.becomes(observe.StateActive))
	switch {
	case errors.Is(err, errTimeout):
		return fmt.Errorf("a timeout occurred while waiting for Rancher to roll back: %w", err)
	case err != nil:
		return err
	case t.before.Launch.Version != "" && t.service.Launch.Version != t.before.Launch.Version:
		return fmt.Errorf("the rollback of %s left it with %s, not with %s", t.name(), t.service.Launch.Image, t.before.Launch.Image)
	}
	t.say.warn("Service rolled back to %s", t.service.Launch.Image)
	t.result.Outcome = RolledBack
	return nil
}
