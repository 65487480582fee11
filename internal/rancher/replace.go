package rancher

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// ReplaceSpec says what an upgrade changes that a pipeline asks for: any image,
// and the labels and variables that are given. Drover's own upgrades change less
// (UpgradeSpec).
type ReplaceSpec struct {
	// ServiceID is the service, such as 1s5.
	ServiceID string
	// ExpectVersion is the launchConfig.version that the decision was made on.
	ExpectVersion string
	// From are the states in which the upgrade may start.
	From []observe.ServiceState
	// Image is what the primary shall run; empty launches the same image again.
	Image string
	// Labels and Environment change those of the primary; nil leaves them.
	Labels, Environment *Replacement
	// Sidekicks sends all sidekicks, so that each is made anew.
	Sidekicks bool
	// SidekickImages are the images of sidekicks that change, by name; these are
	// sent in any case.
	SidekickImages map[string]string
	// BatchSize, Interval and StartFirst are as in UpgradeSpec.
	BatchSize  int
	Interval   time.Duration
	StartFirst bool
}

// Replacement is a new set of labels or variables.
type Replacement struct {
	Values map[string]string
	// Merge keeps what Values do not name; otherwise they are all there is.
	Merge bool
}

// maxReplaceInterval bounds the pause between batches: an hour is a mistake.
const maxReplaceInterval = time.Hour

// anyImage is an image as it was read: whatever runs may be launched again.
var anyImage = regexp.MustCompile(`^\S{1,600}$`)

// replaceRules are those of a pipeline's upgrades.
var replaceRules = bodyRules{image: anyImage, wanted: "image", maxInterval: maxReplaceInterval}

// PrepareReplace reads the service and makes the body of an upgrade from it, as
// PrepareUpgrade does, and proves that only what is asked for changes.
func (c *Client) PrepareReplace(ctx context.Context, spec ReplaceSpec) (*Prepared, error) {
	op := "preparing the upgrade of service " + clip(spec.ServiceID)
	if err := spec.check(op); err != nil {
		return nil, err
	}
	w, _, err := c.rawServiceByID(ctx, op, spec.ServiceID)
	if err != nil {
		return nil, err
	}
	if err := c.refuseRole(ctx, op); err != nil {
		return nil, err
	}
	if err := spec.checkService(op, w); err != nil {
		return nil, err
	}
	return spec.prepare(op, w)
}

// check refuses a spec that would make a body which Rancher takes and chokes on.
func (s *ReplaceSpec) check(op string) error {
	reason := ""
	switch {
	case !isID(s.ServiceID, "1s"):
		reason = "it names no service"
	case s.Image != "" && !IsImage(s.Image):
		reason = fmt.Sprintf("%q is no image reference", clip(s.Image))
	case s.BatchSize < 1 || s.BatchSize > maxBatch:
		reason = fmt.Sprintf("batch size %d is not from 1 to %d", s.BatchSize, maxBatch)
	case s.Interval < minInterval || s.Interval > maxReplaceInterval:
		reason = fmt.Sprintf("batch interval %s is not from %s to %s", s.Interval, minInterval, maxReplaceInterval)
	}
	for _, name := range slices.Sorted(maps.Keys(s.SidekickImages)) {
		if !IsImage(s.SidekickImages[name]) {
			reason = fmt.Sprintf("%q is no image reference for sidekick %s", clip(s.SidekickImages[name]), clip(name))
		}
	}
	if reason != "" {
		return &UnsafeError{Op: op, Reason: reason}
	}
	return nil
}

// checkService refuses a service that is not as the caller saw it.
func (s *ReplaceSpec) checkService(op string, w *rawService) error {
	changed := func(format string, args ...any) error {
		return &Error{Op: op, Code: CodeChanged, Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case !slices.Contains(s.From, observe.ServiceState(w.State)):
		return changed("the service is %s", clip(w.State))
	case w.Actions[actionUpgrade] == nil:
		return changed("rancher does not offer the action upgrade")
	case w.LaunchConfig == nil:
		return &UnsafeError{Op: op, Reason: "the service has no launch configuration"}
	case w.LaunchConfig.Version != s.ExpectVersion:
		return changed("its version is %s, not %s", clip(w.LaunchConfig.Version), clip(s.ExpectVersion))
	}
	return nil
}

// prepare edits and proves.
func (s *ReplaceSpec) prepare(op string, w *rawService) (*Prepared, error) {
	p := &Prepared{
		ServiceID:         w.ID,
		Previous:          w.RawLaunch,
		PreviousSecondary: joinArray(w.RawSecondary),
		version:           s.ExpectVersion,
		rules:             replaceRules,
	}
	launch, err := s.edited(op, p)
	if err != nil {
		return nil, err
	}
	if err := sameScheduling(op, w.RawLaunch, launch); err != nil {
		return nil, err
	}
	p.Diff = prefixed("/launchConfig", Diff(w.RawLaunch, launch))
	sidekicks, err := s.sidekicks(op, w.RawSecondary, p)
	if err != nil {
		return nil, err
	}
	var sent wireLaunch
	if err := json.Unmarshal(launch, &sent); err != nil {
		return nil, &UnsafeError{Op: op, Reason: "the launch configuration is not Rancher's"}
	}
	p.image = imageUUID(sent.ImageUUID)
	p.Body = upgradeBody(s.BatchSize, s.Interval, s.StartFirst, launch, sidekicks)
	return p, checkBody(op, p.Body, p.rules)
}

// edited is the primary's launch configuration with what is asked for, proved to
// differ in nothing else.
func (s *ReplaceSpec) edited(op string, p *Prepared) ([]byte, error) {
	after := []byte(p.Previous)
	var intended []string
	var err error
	if s.Image != "" {
		intended = append(intended, "imageUuid")
		if after, err = setMember(after, "imageUuid", quote(imageUUID(s.Image))); err != nil {
			return nil, uneditable(op, err)
		}
	}
	for _, part := range []struct {
		key     string
		with    *Replacement
		dropped *[]string
	}{{"labels", s.Labels, &p.DroppedLabels}, {"environment", s.Environment, &p.DroppedVariables}} {
		if part.with == nil {
			continue
		}
		intended = append(intended, part.key)
		if after, *part.dropped, err = part.with.apply(after, part.key); err != nil {
			return nil, uneditable(op, err)
		}
	}
	return after, proveReplaced(op, "/launchConfig", p.Previous, after, intended)
}

func uneditable(op string, err error) error {
	return &UnsafeError{Op: op, Reason: "the launch configuration cannot be edited safely: " + err.Error()}
}

// apply replaces or merges the object that is a member of a launch configuration,
// and lists the keys that are gone.
func (r *Replacement) apply(launch []byte, key string) (after []byte, dropped []string, err error) {
	all, err := members(launch)
	if err != nil {
		return nil, nil, err
	}
	object := []byte("{}")
	if m := find(all, key); m != nil && string(m.value) != "null" {
		object = m.value
	}
	before, err := members(object)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", key, err)
	}
	if !r.Merge {
		object = []byte("{}")
		for _, m := range before {
			if _, stays := r.Values[m.key]; !stays {
				dropped = append(dropped, m.key)
			}
		}
		slices.Sort(dropped)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Values)) {
		if object, err = setMember(object, name, quote(r.Values[name])); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	after, err = setMember(launch, key, object)
	return after, dropped, err
}

// sidekicks are the sidekicks to send, in Rancher's order: all, or those whose
// image changes.
func (s *ReplaceSpec) sidekicks(op string, all []json.RawMessage, p *Prepared) ([][]byte, error) {
	sent := [][]byte{}
	for _, raw := range all {
		var launch wireLaunch
		if err := json.Unmarshal(raw, &launch); err != nil || launch.Name == "" {
			return nil, &UnsafeError{Op: op, Reason: "a sidekick has no name of its own"}
		}
		image, changes := s.SidekickImages[launch.Name]
		if !s.Sidekicks && !changes {
			continue
		}
		after := []byte(raw)
		var err error
		if changes {
			if after, err = setMember(raw, "imageUuid", quote(imageUUID(image))); err != nil {
				return nil, uneditable(op, err)
			}
		}
		path := "/secondaryLaunchConfigs/" + pointer(launch.Name)
		if err := proveReplaced(op, path, raw, after, []string{"imageUuid"}); err != nil {
			return nil, err
		}
		p.Diff = append(p.Diff, prefixed(path, Diff(raw, after))...)
		sent = append(sent, after)
	}
	return sent, nil
}

// proveReplaced refuses an edit that changed more than the intended members, in two
// ways that know nothing of how the edit was done: by comparing values, and by
// comparing the bytes that remain when the intended members are taken out.
func proveReplaced(op, path string, before, after []byte, intended []string) error {
	var foreign []string
	for _, at := range Diff(before, after) {
		first, _, _ := strings.Cut(strings.TrimPrefix(at, "/"), "/")
		if !slices.Contains(intended, first) {
			foreign = append(foreign, path+at)
		}
	}
	if len(foreign) > 0 {
		return &UnsafeError{Op: op, Reason: "it would change more than was asked for", Paths: foreign}
	}
	var err error
	for _, key := range intended {
		var errBefore, errAfter error
		before, errBefore = cutMember(before, key)
		after, errAfter = cutMember(after, key)
		if errBefore != nil || errAfter != nil {
			err = uneditable(op, fmt.Errorf("member %s", key))
		}
	}
	if err == nil && !bytes.Equal(before, after) {
		err = &UnsafeError{Op: op, Reason: "it would not send back what was read", Paths: []string{path}}
	}
	return err
}
