package probe

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// queryAnswer is what /api/v1/query gives (Prometheus, HTTP API). IsPartial is
// VictoriaMetrics' word for what Thanos tells as a warning.
type queryAnswer struct {
	Status    string   `json:"status"`
	Error     string   `json:"error"`
	Warnings  []string `json:"warnings"`
	IsPartial bool     `json:"isPartial"`
	Data      struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
}

// point is [time, "value"].
type point struct {
	at    float64
	value string
}

// UnmarshalJSON reads the pair.
func (p *point) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&p.at, &p.value})
}

// answerStatus says what is wrong with a status. An error of Prometheus comes
// with its text, which names the place in the query.
func answerStatus(status int, body []byte) *observe.Problem {
	var a queryAnswer
	text := ""
	if json.Unmarshal(body, &a) == nil && a.Error != "" {
		text = ": " + clip(a.Error)
	}
	switch {
	case status == http.StatusOK:
		return nil
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return problemf(observe.CauseAuth, "answered %d: token or password are not accepted", status)
	case status == http.StatusNotFound:
		return problemf(observe.CauseNotFound, "answered 404: there is no query API at this address")
	case status == http.StatusBadRequest:
		return problemf(observe.CauseUnusable, "it refuses the query%s", text)
	case status >= 300 && status < 400:
		return problemf(observe.CauseInvalid, "answered %d: redirects are not followed", status)
	case status >= 500 || status == http.StatusTooManyRequests:
		return problemf(observe.CauseUnreachable, "answered %d%s", status, text)
	}
	return problemf(observe.CauseInvalid, "answered %d%s", status, text)
}

// parseAnswer is the one value of an answer. Anything but one finite, fresh and
// whole value is a problem: what is not known is never good evidence.
func parseAnswer(body []byte, now time.Time, staleAfter time.Duration) (float64, *observe.Problem) {
	var a queryAnswer
	if err := json.Unmarshal(body, &a); err != nil {
		return 0, problemf(observe.CauseInvalid, "the answer is no JSON of a Prometheus")
	}
	switch {
	case a.Status != "success":
		return 0, problemf(observe.CauseInvalid, "it says %q: %s", clip(a.Status), clip(a.Error))
	case a.IsPartial:
		return 0, problemf(observe.CauseUnreachable, "the answer is partial")
	case len(a.Warnings) > 0:
		return 0, problemf(observe.CauseUnreachable, "the answer may be partial: %s", clip(a.Warnings[0]))
	}
	p, problem := onePoint(a.Data.ResultType, a.Data.Result)
	if problem != nil {
		return 0, problem
	}
	number, err := strconv.ParseFloat(p.value, 64)
	switch {
	case err != nil:
		return 0, problemf(observe.CauseInvalid, "the value %q is no number", clip(p.value))
	case math.IsNaN(number) || math.IsInf(number, 0):
		return 0, problemf(observe.CausePending, "the value is %s: nothing was counted", p.value)
	}
	if age := now.Sub(time.UnixMilli(int64(p.at * 1000))); age > staleAfter+time.Second {
		return 0, problemf(observe.CausePending, "the value is %v old", age.Round(time.Second))
	}
	return number, nil
}

// onePoint is the point of a scalar, or of a vector with one series.
func onePoint(kind string, result json.RawMessage) (point, *observe.Problem) {
	var p point
	switch kind {
	case "scalar":
		if err := json.Unmarshal(result, &p); err != nil {
			return p, problemf(observe.CauseInvalid, "the answer's scalar cannot be read")
		}
		return p, nil
	case "vector":
	default:
		return p, problemf(observe.CauseUnusable, "the query gives a %.20q and must give one value", kind)
	}
	var series []struct {
		Value point `json:"value"`
	}
	if err := json.Unmarshal(result, &series); err != nil {
		return p, problemf(observe.CauseInvalid, "the answer's vector cannot be read")
	}
	switch len(series) {
	case 0:
		return p, problemf(observe.CausePending, "the query gives no value")
	case 1:
		return series[0].Value, nil
	}
	return p, problemf(observe.CauseUnusable, "the query gives %d series: aggregate it to one value", len(series))
}
