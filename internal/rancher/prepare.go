package rancher

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// UpgradeSpec says what an upgrade changes.
type UpgradeSpec struct {
	// ServiceID is the service, such as 1s5.
	ServiceID string
	// ExpectVersion is the launchConfig.version that the decision was made on.
	ExpectVersion string
	// Image is what the primary shall run: repository@sha256:…, with or without
	// docker: before it.
	Image string
	// Secondary are the images of sidekicks that change, by sidekick name.
	Secondary map[string]string
	// Labels are the io.drover labels afterwards, all of them.
	Labels map[string]string
	// BatchSize is how many deployment units are replaced at once.
	BatchSize int
	// Interval is the pause between batches.
	Interval time.Duration
	// StartFirst starts new containers before old ones are stopped.
	StartFirst bool
	// Base, when not nil, is a stored launch configuration to go back to; the
	// upgrade starts from it instead of from the one in force.
	Base json.RawMessage
	// BaseSecondary is the stored array of sidekicks that goes with Base.
	BaseSecondary json.RawMessage
}

// Prepared is an upgrade that was read, edited and proved, and not yet sent.
type Prepared struct {
	// ServiceID is the service.
	ServiceID string
	// Previous is the launch configuration in force, as read.
	Previous json.RawMessage
	// PreviousSecondary is the array of sidekicks in force, as read.
	PreviousSecondary json.RawMessage
	// Body is what Upgrade sends.
	Body json.RawMessage
	// Diff are the JSON pointers at which the service's configuration will differ
	// from the one in force: /launchConfig/imageUuid,
	// /secondaryLaunchConfigs/<name>/imageUuid, …
	Diff []string
	// DroppedLabels and DroppedVariables are the keys that a replacement leaves
	// out, sorted.
	DroppedLabels, DroppedVariables []string
	// image is what Rancher's answer must show, version what it must not.
	image, version string
	// rules are what the body is held to.
	rules bodyRules
}

// PrepareUpgrade reads the service and makes the body of an upgrade from it. It
// writes nothing. A service that is not as the caller saw it is a Conflict; an
// upgrade that would lose or wreck something is an UnsafeError.
func (c *Client) PrepareUpgrade(ctx context.Context, spec UpgradeSpec) (*Prepared, error) {
	op := "preparing the upgrade of service " + clip(spec.ServiceID)
	if err := spec.check(op); err != nil {
		return nil, err
	}
	s, _, err := c.rawServiceByID(ctx, op, spec.ServiceID)
	if err != nil {
		return nil, err
	}
	if err := c.refuseRole(ctx, op); err != nil {
		return nil, err
	}
	if err := spec.checkService(op, s); err != nil {
		return nil, err
	}
	return spec.prepare(op, s)
}

// check refuses a spec that would make a body which Rancher takes and chokes on
// (rancher-api 14.2).
func (s *UpgradeSpec) check(op string) error {
	reason := ""
	switch {
	case !isID(s.ServiceID, "1s"):
		reason = "it names no service"
	case s.ExpectVersion == "":
		reason = "the version it is based on is not known"
	case !pinned.MatchString(imageUUID(s.Image)):
		reason = fmt.Sprintf("image %q is not repository@sha256:<64 hex digits>", clip(s.Image))
	case s.BatchSize < 1 || s.BatchSize > maxBatch:
		reason = fmt.Sprintf("batch size %d is not from 1 to %d", s.BatchSize, maxBatch)
	case s.Interval < minInterval || s.Interval > maxInterval:
		reason = fmt.Sprintf("interval %s is not from %s to %s", s.Interval, minInterval, maxInterval)
	case s.BaseSecondary != nil && s.Base == nil:
		reason = "sidekicks are restored only with their primary"
	}
	for name, image := range s.Secondary {
		if name == "" || !pinned.MatchString(imageUUID(image)) {
			reason = fmt.Sprintf("image %q of sidekick %q is not repository@sha256:<64 hex digits>", clip(image), clip(name))
		}
	}
	for key, value := range s.Labels {
		if !strings.HasPrefix(key, ownLabels) || len(key) > 255 || len(value) > 4096 ||
			strings.ToValidUTF8(key+value, "") != key+value {
			reason = fmt.Sprintf("label %q is not one of ours or is malformed", clip(key))
		}
	}
	if reason != "" {
		return &UnsafeError{Op: op, Reason: reason}
	}
	return nil
}

// checkService refuses a service that is not as the caller saw it, or that no
// upgrade is for.
func (s *UpgradeSpec) checkService(op string, w *rawService) error {
	changed := func(format string, args ...any) error {
		return &Error{Op: op, Code: CodeChanged, Message: fmt.Sprintf(format, args...)}
	}
	unsafe := func(reason string) error { return &UnsafeError{Op: op, Reason: reason} }
	switch {
	case w.State != string(observe.StateActive):
		// Rancher would start an inactive service (rancher-api 12.7).
		return changed("the service is %s, not active", clip(w.State))
	case w.Actions[actionUpgrade] == nil:
		return changed("rancher does not offer the action upgrade")
	case w.LaunchConfig == nil:
		return unsafe("the service has no launch configuration")
	case w.LaunchConfig.Version != s.ExpectVersion:
		return changed("its version is %s, not %s", clip(w.LaunchConfig.Version), clip(s.ExpectVersion))
	case w.Type != "service" && w.Type != "loadBalancerService":
		return unsafe("services of type " + clip(w.Type) + " run no image")
	case w.System:
		return unsafe("it is one of Rancher's own services")
	case !strings.HasPrefix(w.LaunchConfig.ImageUUID, imagePrefix):
		return unsafe(fmt.Sprintf("it runs %q, which is no Docker image", clip(w.LaunchConfig.ImageUUID)))
	case s.StartFirst && w.RetainIP:
		return unsafe("a service that retains its addresses cannot start new containers first")
	}
	return nil
}

// prepare edits and proves.
func (s *UpgradeSpec) prepare(op string, w *rawService) (*Prepared, error) {
	p := &Prepared{
		ServiceID:         w.ID,
		Previous:          w.RawLaunch,
		PreviousSecondary: joinArray(w.RawSecondary),
		image:             imageUUID(s.Image),
		version:           s.ExpectVersion,
		rules:             pinnedRules,
	}
	base := w.RawLaunch
	if s.Base != nil {
		base = s.Base
	}
	launch, err := s.edited(op, "/launchConfig", base, s.Image)
	if err != nil {
		return nil, err
	}
	if err := sameScheduling(op, w.RawLaunch, launch); err != nil {
		return nil, err
	}
	p.Diff = prefixed("/launchConfig", Diff(w.RawLaunch, launch))
	secondary, diff, err := s.secondaries(op, w)
	if err != nil {
		return nil, err
	}
	p.Diff = append(p.Diff, diff...)
	p.Body = upgradeBody(s.BatchSize, s.Interval, s.StartFirst, launch, secondary)
	return p, checkBody(op, p.Body, p.rules)
}

// edited is a launch configuration with its image and our labels changed, proved
// to differ in nothing else.
func (s *UpgradeSpec) edited(op, path string, before []byte, image string) ([]byte, error) {
	refuse := func(err error) error {
		return &UnsafeError{Op: op, Reason: "the launch configuration cannot be edited safely: " + err.Error(), Paths: []string{path}}
	}
	after, err := setMember(before, "imageUuid", quote(imageUUID(image)))
	if err != nil {
		return nil, refuse(err)
	}
	if after, err = setOwnLabels(after, s.Labels); err != nil {
		return nil, refuse(err)
	}
	return after, prove(op, path, before, after)
}

// prove refuses an edit that changed more than an upgrade may, in two ways that
// know nothing of how the edit was done: by comparing values, and by comparing the
// bytes that remain when the intended members are taken out.
func prove(op, path string, before, after []byte) error {
	var foreign []string
	for _, at := range Diff(before, after) {
		if !isIntended(at, before) {
			foreign = append(foreign, path+at)
		}
	}
	if len(foreign) > 0 {
		return &UnsafeError{Op: op, Reason: "it would change more than image and labels", Paths: foreign}
	}
	kept, errBefore := residue(before)
	sent, errAfter := residue(after)
	if errBefore != nil || errAfter != nil || !bytes.Equal(kept, sent) {
		return &UnsafeError{Op: op, Reason: "it would not send back what was read", Paths: []string{path}}
	}
	return nil
}

// isIntended says that an upgrade may change what is at a pointer.
func isIntended(at string, before []byte) bool {
	if at == "/imageUuid" || strings.HasPrefix(at, "/labels/"+ownLabels) {
		return true
	}
	// Where there were no labels the whole member is new.
	labels, err := labelsOf(before)
	return at == "/labels" && err == nil && labels == nil
}

// secondaries are the sidekicks to send: those whose image changes, and in a
// restore those that are no longer as stored. The others stay out, so Rancher
// leaves them alone.
func (s *UpgradeSpec) secondaries(op string, w *rawService) (bodies [][]byte, diff []string, err error) {
	current, err := byName(w.RawSecondary)
	if err != nil {
		return nil, nil, &UnsafeError{Op: op, Reason: "sidekicks: " + err.Error()}
	}
	base, err := s.baseSecondaries(current)
	if err != nil {
		return nil, nil, &UnsafeError{Op: op, Reason: "stored sidekicks: " + err.Error()}
	}
	if err := s.foreignSecondaries(op, base, current); err != nil {
		return nil, nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(s.Secondary)) {
		if base[name] == nil {
			return nil, nil, &Error{Op: op, Code: CodeChanged, Message: "the service has no sidekick " + clip(name)}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(base)) {
		body, err := s.editedSecondary(op, name, base[name], current[name])
		if err != nil {
			return nil, nil, err
		}
		if body == nil {
			continue
		}
		bodies = append(bodies, body)
		diff = append(diff, prefixed("/secondaryLaunchConfigs/"+pointer(name), Diff(orEmpty(current[name]), body))...)
	}
	return bodies, diff, nil
}

// editedSecondary is a sidekick to send, or nil when it stays as it is.
func (s *UpgradeSpec) editedSecondary(op, name string, base, current []byte) ([]byte, error) {
	image, named := s.Secondary[name]
	if !named {
		if s.Base == nil || sameConfiguration(base, current) {
			return nil, nil
		}
		// Restored as it was stored, image and all.
		return base, nil
	}
	return s.edited(op, "/secondaryLaunchConfigs/"+pointer(name), base, image)
}

// baseSecondaries are the sidekicks that the upgrade starts from.
func (s *UpgradeSpec) baseSecondaries(current map[string]json.RawMessage) (map[string]json.RawMessage, error) {
	if s.BaseSecondary == nil {
		return current, nil
	}
	stored, err := elements(s.BaseSecondary)
	if err != nil {
		return nil, err
	}
	return byName(stored)
}

// foreignSecondaries refuses a restore that would undo what somebody else did to a
// sidekick since: one that neither the stored version nor the rollout that is to be
// taken back gave its version (rancher-api 3.3: an upgrade gives one version to all
// that it changes, and leaves the others').
func (s *UpgradeSpec) foreignSecondaries(op string, base, current map[string]json.RawMessage) error {
	if s.Base == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(current)) {
		var stored, now wireLaunch
		if base[name] != nil && (json.Unmarshal(base[name], &stored) != nil || json.Unmarshal(current[name], &now) != nil) {
			return &UnsafeError{Op: op, Reason: "sidekick " + clip(name) + " is not Rancher's"}
		}
		if stored.Version == "" || now.Version == "" || now.Version == stored.Version || now.Version == s.ExpectVersion {
			continue
		}
		if paths := prefixed("/secondaryLaunchConfigs/"+pointer(name), Diff(current[name], base[name])); !sameConfiguration(base[name], current[name]) {
			return &UnsafeError{Op: op, Reason: "somebody changed sidekick " + clip(name) + " since, and going back would undo it", Paths: paths}
		}
	}
	return nil
}

// sameConfiguration says that two launch configurations differ in nothing but the
// version, which Rancher sets anew at each upgrade.
func sameConfiguration(a, b []byte) bool {
	if b == nil {
		return false
	}
	return !slices.ContainsFunc(Diff(a, b), func(at string) bool { return at != "/version" })
}

// sameScheduling refuses a restore that turns a global service into a scaled one
// or back: Rancher does not take it (validateScaleSwitch).
func sameScheduling(op string, current, next []byte) error {
	var a, b wireLaunch
	if json.Unmarshal(current, &a) != nil || json.Unmarshal(next, &b) != nil {
		return &UnsafeError{Op: op, Reason: "the launch configuration is not Rancher's"}
	}
	if a.Labels.global != b.Labels.global {
		return &UnsafeError{Op: op, Reason: "a service cannot be switched from global to scaled or back", Paths: []string{"/launchConfig/labels/" + labelGlobal}}
	}
	return nil
}

// upgradeBody is the body of an upgrade; nil sidekicks are left out.
func upgradeBody(batchSize int, interval time.Duration, startFirst bool, launch []byte, secondary [][]byte) []byte {
	var b bytes.Buffer
	b.WriteString(`{"inServiceStrategy":{"batchSize":`)
	b.WriteString(strconv.Itoa(batchSize))
	b.WriteString(`,"intervalMillis":`)
	b.WriteString(strconv.FormatInt(interval.Milliseconds(), 10))
	b.WriteString(`,"startFirst":`)
	b.WriteString(strconv.FormatBool(startFirst))
	b.WriteString(`,"launchConfig":`)
	b.Write(launch)
	if secondary != nil {
		b.WriteString(`,"secondaryLaunchConfigs":[`)
		b.Write(bytes.Join(secondary, []byte{','}))
		b.WriteByte(']')
	}
	b.WriteString(`}}`)
	return b.Bytes()
}

// byName indexes launch configurations by their name; an added sidekick is placed
// first, so positions mean nothing (rancher-api 14.3).
func byName(all []json.RawMessage) (map[string]json.RawMessage, error) {
	index := make(map[string]json.RawMessage, len(all))
	for _, raw := range all {
		var launch wireLaunch
		if err := json.Unmarshal(raw, &launch); err != nil {
			return nil, err
		}
		if launch.Name == "" || index[launch.Name] != nil {
			return nil, fmt.Errorf("a sidekick has no name of its own")
		}
		index[launch.Name] = raw
	}
	return index, nil
}

// joinArray is an array of its elements' text.
func joinArray(all []json.RawMessage) json.RawMessage {
	parts := make([][]byte, len(all))
	for i, raw := range all {
		parts[i] = raw
	}
	return slices.Concat([]byte{'['}, bytes.Join(parts, []byte{','}), []byte{']'})
}

// prefixed puts a path before pointers.
func prefixed(path string, pointers []string) []string {
	for i := range pointers {
		pointers[i] = path + pointers[i]
	}
	return pointers
}
