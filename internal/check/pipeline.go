package check

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/gitlab"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// clockSkew is how far GitLab's clock may be behind when a pipeline is looked for.
const clockSkew = 10 * time.Minute

// call triggers the pipeline, or looks how it is. mayExist says that one may have
// been triggered before: by a process that was killed, or by a request whose
// answer was lost.
func (p *Pipeline) call(ctx context.Context, about observe.CheckSubject, started time.Time, ref string, mayExist bool) outcome {
	if ref != "" {
		run, err := p.Client.Pipeline(ctx, p.Project, ref)
		return p.outcome(ctx, run, err, ref)
	}
	if mayExist {
		run, found, err := p.find(ctx, about, started)
		if err != nil || found {
			return p.outcome(ctx, run, err, run.ID)
		}
	}
	own := maps.Clone(p.Variables)
	if own == nil {
		own = map[string]string{}
	}
	maps.Copy(own, variables(about))
	run, err := p.Client.Trigger(ctx, p.Project, p.Ref, own)
	return p.outcome(ctx, run, err, run.ID)
}

// find looks for the pipeline of this check: a rollout may have several.
func (p *Pipeline) find(ctx context.Context, about observe.CheckSubject, started time.Time) (gitlab.Pipeline, bool, error) {
	return p.Client.Find(ctx, p.Project, p.Ref, started.Add(-clockSkew), map[string]string{"DROVER_ROLLOUT": about.Rollout, "DROVER_CHECK": about.Check})
}

// outcome says what a pipeline's status means (GitLab, CI/CD pipelines API).
func (p *Pipeline) outcome(ctx context.Context, run gitlab.Pipeline, err error, ref string) outcome {
	if err != nil {
		return outcome{ref: ref, problem: gitlabProblem(err)}
	}
	o := outcome{state: observe.CheckRunning, ref: run.ID, url: cleanURL(run.URL), detail: "pipeline " + run.ID + " is " + oneLine(run.Status)}
	switch run.Status {
	case "success":
		o.state = observe.CheckPassed
	case "failed":
		o.state = observe.CheckFailed
		if jobs, err := p.Client.FailedJobs(ctx, p.Project, run.ID); err == nil && len(jobs) > 0 {
			o.detail = oneLine("pipeline " + run.ID + " failed in " + strings.Join(jobs, ", "))
		}
	case "canceled", "canceling", "skipped":
		o.state = observe.CheckEnded
	case "manual":
		o.detail += ": it waits for a person"
	}
	return o
}

func gitlabProblem(err error) *observe.Problem {
	var failed *gitlab.Error
	cause := observe.CauseUnreachable
	if errors.As(err, &failed) {
		switch {
		case failed.Status == http.StatusUnauthorized || failed.Status == http.StatusForbidden:
			cause = observe.CauseAuth
		case failed.Status == http.StatusNotFound:
			cause = observe.CauseNotFound
		case failed.Status >= 400 && failed.Status < 500 && failed.Status != http.StatusTooManyRequests:
			cause = observe.CauseUnusable
		}
	}
	return problemf(cause, "%v", err)
}
