package rancher

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

const (
	// minInterval is Rancher's own minimum (inServiceUpgradeStrategy.json).
	minInterval = 100 * time.Millisecond
	// maxInterval bounds the pause, because a rollback uses it too.
	maxInterval = 30 * time.Second
	// maxBatch is far above any scale; Rancher takes 10^12 as well.
	maxBatch = 10000
)

// pinned is an image by digest, as it is sent. Rancher takes a malformed digest
// without a word and finishes the upgrade with containers that cannot start
// (rancher-api 14.2).
var pinned = regexp.MustCompile(`^docker:[a-z0-9][a-zA-Z0-9._:/-]{0,400}@sha256:[0-9a-f]{64}$`)

// imageUUID is the image with docker: before it.
func imageUUID(image string) string {
	return imagePrefix + strings.TrimPrefix(image, imagePrefix)
}

// strategy is what a body must have, each present and of its kind.
type strategy struct {
	BatchSize      *int              `json:"batchSize"`
	IntervalMillis *int64            `json:"intervalMillis"`
	StartFirst     *bool             `json:"startFirst"`
	LaunchConfig   json.RawMessage   `json:"launchConfig"`
	Secondary      []json.RawMessage `json:"secondaryLaunchConfigs"`
}

// bodyRules are where two kinds of upgrade differ in what they may send.
type bodyRules struct {
	// image is what the primary may run, wanted what that is called.
	image  *regexp.Regexp
	wanted string
	// maxInterval bounds the pause between batches.
	maxInterval time.Duration
}

// pinnedRules are those of Drover's own upgrades.
var pinnedRules = bodyRules{image: pinned, wanted: "image by digest", maxInterval: maxInterval}

// checkBody is the last look at a body before it leaves: what Rancher would take
// and choke on. A null batch size leaves the service stuck, rollback included.
func checkBody(op string, body []byte, rules bodyRules) error {
	refuse := func(format string, args ...any) error {
		return &UnsafeError{Op: op, Reason: fmt.Sprintf(format, args...)}
	}
	var b struct {
		InService *strategy `json:"inServiceStrategy"`
	}
	if err := json.Unmarshal(body, &b); err != nil || b.InService == nil {
		return refuse("the body is no in-service upgrade")
	}
	s := b.InService
	switch {
	case s.BatchSize == nil || *s.BatchSize < 1 || *s.BatchSize > maxBatch:
		return refuse("batchSize is missing or out of bounds")
	case s.IntervalMillis == nil || *s.IntervalMillis < minInterval.Milliseconds() || *s.IntervalMillis > rules.maxInterval.Milliseconds():
		return refuse("intervalMillis is missing or out of bounds")
	case s.StartFirst == nil:
		return refuse("startFirst is missing")
	}
	if reason := checkLaunch(s.LaunchConfig, rules); reason != "" {
		return refuse("launchConfig %s", reason)
	}
	for _, raw := range s.Secondary {
		if reason := checkSecondary(raw); reason != "" {
			return refuse("a sidekick %s", reason)
		}
	}
	return nil
}

// checkLaunch says what is wrong with the primary, or nothing.
func checkLaunch(raw []byte, rules bodyRules) string {
	var launch wireLaunch
	all, err := members(raw)
	switch {
	case err != nil:
		return "is " + err.Error()
	case json.Unmarshal(raw, &launch) != nil:
		return "is not one of Rancher's"
	case !rules.image.MatchString(launch.ImageUUID):
		return "has no " + rules.wanted
	}
	return checkMembers(all)
}

// checkSecondary says what is wrong with a sidekick, or nothing. One that is
// restored as it was may follow a tag.
func checkSecondary(raw []byte) string {
	var launch wireLaunch
	all, err := members(raw)
	switch {
	case err != nil:
		return "is " + err.Error()
	case json.Unmarshal(raw, &launch) != nil:
		return "is not one of Rancher's"
	case launch.Name == "":
		return "has no name"
	case !strings.HasPrefix(launch.ImageUUID, imagePrefix) || launch.ImageUUID == imagePrefix:
		return "has no image"
	}
	return checkMembers(all)
}

// checkMembers refuses shapes that Rancher answers with 202 and then never ends:
// ports or an environment of the wrong kind.
func checkMembers(all []member) string {
	kinds := map[string]byte{"ports": '[', "environment": '{', "labels": '{', "healthCheck": '{', "secrets": '['}
	for _, m := range all {
		if want, ok := kinds[m.key]; ok && m.value[0] != want && string(m.value) != "null" {
			return "has " + m.key + " of the wrong kind"
		}
	}
	return ""
}
