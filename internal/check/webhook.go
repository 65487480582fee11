package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

const (
	// webhookTimeout bounds one call, maxAnswer what is read of its answer.
	webhookTimeout = 30 * time.Second
	maxAnswer      = 64 << 10
	// soonest and latest bound when a webhook may ask to be called again.
	soonest, latest = time.Second, 10 * time.Minute
)

// verdict is a webhook's answer.
type verdict struct {
	// Verdict is pass, fail or wait.
	Verdict string `json:"verdict"`
	// Reason is told to people, URL is where they can read more.
	Reason string `json:"reason"`
	URL    string `json:"url"`
	// After is when to come back, as in 30s.
	After string `json:"after"`
}

// call asks a webhook once. attempt counts its calls for this rollout, from 1.
func (w *Webhook) call(ctx context.Context, client *http.Client, about observe.CheckSubject, attempt int) outcome {
	ctx, cancel := context.WithTimeoutCause(ctx, webhookTimeout, fmt.Errorf("no answer within %v", webhookTimeout))
	defer cancel()
	req, problem := w.request(ctx, about, attempt)
	if problem != nil {
		return outcome{problem: problem}
	}
	resp, err := client.Do(req)
	if err != nil {
		return outcome{problem: unreachable(ctx, err)}
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	n, err := body.ReadFrom(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return outcome{problem: unreachable(ctx, err)}
	case n > maxAnswer:
		return outcome{problem: problemf(observe.CauseInvalid, "the webhook's answer is larger than %d bytes", maxAnswer)}
	}
	return readVerdict(resp.StatusCode, resp.Header.Get("Retry-After"), body.Bytes())
}

func (w *Webhook) request(ctx context.Context, about observe.CheckSubject, attempt int) (*http.Request, *observe.Problem) {
	data, err := json.Marshal(struct {
		observe.CheckSubject
		Attempt int `json:"attempt"`
	}{about, attempt})
	if err != nil {
		return nil, problemf(observe.CauseInvalid, "the rollout cannot be written: %v", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(data))
	if err != nil {
		return nil, problemf(observe.CauseUnusable, "the webhook's address is no URL")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "drover-check")
	req.Header.Set("Idempotency-Key", about.Rollout+"/"+about.Check)
	if w.Token == nil {
		return req, nil
	}
	token, err := w.Token()
	if err != nil {
		return nil, problemf(observe.CauseAuth, "%v", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return req, nil
}

// readVerdict reads an answer. Only a clear word is a verdict; everything else is
// a problem, and asked again.
func readVerdict(status int, retryAfter string, body []byte) outcome {
	wait := clampAfter(retryAfter + "s")
	switch {
	case status == http.StatusOK, status == http.StatusAccepted:
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return outcome{problem: problemf(observe.CauseAuth, "the webhook answered %d: its token is not accepted", status)}
	case status == http.StatusNotFound, status == http.StatusGone:
		return outcome{problem: problemf(observe.CauseNotFound, "the webhook answered %d", status)}
	case status >= 500, status == http.StatusTooManyRequests:
		return outcome{problem: problemf(observe.CauseUnreachable, "the webhook answered %d", status), after: wait}
	default:
		return outcome{problem: problemf(observe.CauseInvalid, "the webhook answered %d", status)}
	}
	var v verdict
	if err := json.Unmarshal(body, &v); err != nil && (status != http.StatusAccepted || len(body) > 0) {
		return outcome{problem: problemf(observe.CauseInvalid, "the webhook's answer is no JSON with a verdict")}
	}
	o := outcome{detail: oneLine(v.Reason), url: cleanURL(v.URL)}
	switch {
	case v.Verdict == "pass" && status == http.StatusOK:
		o.state = observe.CheckPassed
	case v.Verdict == "fail" && status == http.StatusOK:
		o.state = observe.CheckFailed
	case v.Verdict == "wait", status == http.StatusAccepted:
		o.state, o.after = observe.CheckRunning, max(wait, clampAfter(v.After))
	default:
		return outcome{problem: problemf(observe.CauseInvalid, "the webhook's verdict is %.40q: it must be pass, fail or wait", v.Verdict)}
	}
	return o
}

// clampAfter reads a span within bounds; 0 is none.
func clampAfter(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0
	}
	return min(max(d, soonest), latest)
}

// cleanURL is an address that may be shown; empty when it is none, or holds a
// password.
func cleanURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || len(text) > maxDetail {
		return ""
	}
	return u.String()
}

// unreachable says why there was no answer, without the address.
func unreachable(ctx context.Context, err error) *observe.Problem {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	return problemf(observe.CauseUnreachable, "%v", err)
}

func problemf(cause observe.Cause, format string, args ...any) *observe.Problem {
	return &observe.Problem{Cause: cause, Message: oneLine(fmt.Sprintf(format, args...))}
}
