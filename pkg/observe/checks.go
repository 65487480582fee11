package observe

import (
	"context"
	"time"
)

// CheckReader has something else judge a version. It starts a check at the first
// call for it, works on it in the background, and answers from memory.
type CheckReader interface {
	Checks(ctx context.Context, key string, runs []CheckRun) []CheckResult
}

// CheckRun is one check of one rollout, as far as it is known.
type CheckRun struct {
	Name string
	// Started is when it was decided.
	Started time.Time
	// Ref is what it runs as elsewhere, such as a pipeline's number; empty when it
	// is not known.
	Ref string
	// About is what the check is told.
	About CheckSubject
}

// CheckSubject is the rollout a check is about: the JSON it is called with.
type CheckSubject struct {
	Check   string `json:"check"`
	Target  string `json:"target"`
	Stack   string `json:"stack"`
	Service string `json:"service"`
	Rollout string `json:"rollout"`
	Kind    string `json:"kind"`
	// Image is repository@digest, Tag the reference people know it by.
	Image string `json:"image"`
	Tag   string `json:"tag"`
	// From and To are the digests.
	From     string    `json:"from"`
	To       string    `json:"to"`
	Revision string    `json:"revision,omitempty"`
	Started  time.Time `json:"started"`
	Deadline time.Time `json:"deadline"`
}

// CheckState is how far a check is.
type CheckState string

const (
	// CheckRunning has no verdict yet.
	CheckRunning CheckState = "running"
	// CheckPassed is a verdict.
	CheckPassed CheckState = "passed"
	// CheckFailed is one, too.
	CheckFailed CheckState = "failed"
	// CheckEnded is over without a verdict: too late, or cancelled.
	CheckEnded CheckState = "ended"
)

// CheckResult is what is known of a check now.
type CheckResult struct {
	Name string `json:"name"`
	// Rollout is the one it is about.
	Rollout string     `json:"rollout"`
	State   CheckState `json:"state"`
	// Problem says why there is no answer at the moment.
	Problem *Problem `json:"problem,omitempty"`
	// Ref and URL are where it runs.
	Ref string `json:"ref,omitempty"`
	URL string `json:"url,omitempty"`
	// Detail is what the check says, at most 512 bytes of it.
	Detail string `json:"detail,omitempty"`
}
