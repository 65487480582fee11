package reconcile

import (
	"fmt"
	"strings"
	"time"
)

// Finding is what one gate says in one look, with the figures it is made from.
type Finding struct {
	// Gate is health, load balancer, http, tcp, logs, or prometheus or check
	// and a name.
	Gate    string  `json:"gate"`
	Verdict Verdict `json:"verdict"`
	Code    Code    `json:"code"`
	// Covered says that this interval was watched without a hole; a bake starts
	// again after one that was not.
	Covered bool `json:"covered,omitempty"`
	// Blameless goes with Fail: the version has to go and is not condemned, because
	// what failed is not its own.
	Blameless bool `json:"blameless,omitempty"`
	// Container is the one it is about, when it is about one.
	Container string `json:"container,omitempty"`
	// Requests and Failures are the new side's; OldRequests and OldFailures the
	// other's. For logs: lines and matches.
	Requests    int64 `json:"requests,omitempty"`
	Failures    int64 `json:"failures,omitempty"`
	OldRequests int64 `json:"oldRequests,omitempty"`
	OldFailures int64 `json:"oldFailures,omitempty"`
	// Synthetic is how many probes filled the minimum evidence, Needed how much
	// evidence there must be.
	Synthetic int64 `json:"synthetic,omitempty"`
	Needed    int64 `json:"needed,omitempty"`
	// Bound is the one-sided 95 % upper bound of the new side's failure rate,
	// Limit what it must not exceed.
	Bound float64 `json:"bound,omitempty"`
	Limit float64 `json:"limit,omitempty"`
	// Evidence is E of the comparison, Sum the larger of L and the CUSUM, and
	// Dispersion φ, how failures clump: the others are divided by it.
	Evidence   float64 `json:"evidence,omitempty"`
	Sum        float64 `json:"sum,omitempty"`
	Dispersion float64 `json:"dispersion,omitempty"`
	// Healthy of Containers are, for For.
	Healthy    int           `json:"healthy,omitempty"`
	Containers int           `json:"containers,omitempty"`
	For        time.Duration `json:"for,omitempty"`
	// Detail is a message of the source, or an example.
	Detail string `json:"detail,omitempty"`
}

// Text is the finding for people.
func (f Finding) Text() string { return f.Say(fmt.Sprintf) }

// Say is the finding for people, in the words of whoever says it: say is given each
// sentence by its English format.
func (f Finding) Say(say func(format string, args ...any) string) string {
	s := f.words(say)
	if f.Container != "" {
		s = f.Container + ": " + s
	}
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	return s
}

func (f Finding) words(say func(format string, args ...any) string) string {
	switch f.Code {
	case CodeHealthy:
		return say("%d of %d for %s", f.Healthy, f.Containers, f.For.Round(time.Second))
	case CodeBecoming:
		return say("%d of %d healthy", f.Healthy, f.Containers)
	case CodeNotHealthyYet:
		return say("not healthy after %s", f.For.Round(time.Second))
	case CodeBecameUnhealthy:
		return say("was healthy and is not any more")
	case CodeRestarts:
		return say("%d restarts and replacements of new containers, %d allowed", f.Failures, f.Needed)
	case CodeDeadEnd:
		return say("Rancher has not got past this for %s", f.For.Round(time.Second))
	case CodeHostLost:
		return say("its host is not active")
	case CodeNoContainer:
		return say("no container of the new version yet")
	case CodeErrorRate:
		return say("%s requests, %s failed, at most %.2g%%", thousands(f.Requests), thousands(f.Failures), 100*f.Bound)
	case CodeShortOfEvidence:
		return say("%d of %d requests needed seen (%d of them probes), %d failed", f.Requests+f.Synthetic, f.Needed, f.Synthetic, f.Failures)
	case CodeWorseThanOld:
		return say("new failed %d of %d, old %d of %d (evidence %.3g, needs %d)", f.Failures, f.Requests, f.OldFailures, f.OldRequests, f.Evidence, evidenceToFail)
	case CodeTooManyErrors:
		return say("%d of %d requests failed, the limit is %.2g%%", f.Failures, f.Requests, 100*f.Limit)
	case CodeSharedIncident:
		return say("new failed %d of %d, old %d of %d: nobody is blamed", f.Failures, f.Requests, f.OldFailures, f.OldRequests)
	case CodeRefused:
		return say("%d connections refused, none served", f.Failures)
	case CodeServerDown:
		return say("the load balancer found it up and now down")
	case CodeServerMissing:
		return say("no server row in the load balancer")
	case CodeServerOut:
		return say("taken out of the load balancer")
	case CodeUnknownTraffic:
		return say("a server of no known container takes %d of %d requests", f.Failures, f.Requests)
	case CodeClientErrors:
		return say("%d of %d requests answered with 4xx, far more than before", f.Failures, f.Requests)
	case CodeNoTraffic:
		return say("no request seen")
	case CodePartial:
		return say("not every load balancer instance answered")
	case CodeAnswers:
		return say("%d of %d containers answer", f.Healthy, f.Containers)
	case CodeProbeFailed:
		return say("%d probes in a row failed", f.Failures)
	case CodeProbeNever:
		return say("no good answer after %s", f.For.Round(time.Second))
	case CodeNotProbedYet:
		return say("%d of %d containers answer so far", f.Healthy, f.Containers)
	case CodeControlFailed:
		return say("probes of the old version fail too")
	case CodeSlower:
		return say("answers more slowly than the old version")
	case CodeMetricGood:
		return say("within its limits")
	case CodeMetricOut:
		return say("out of its limits %d times in a row", f.Failures)
	case CodeMetricShared:
		return say("out of its limits for the old version too, so nobody is blamed")
	case CodeNoOldValue:
		return say("no value of the old version to compare with")
	case CodeCheckWaits:
		return say("is called when every container is proved")
	case CodeCheckRunning:
		return say("no verdict yet after %s", f.For.Round(time.Second))
	case CodeCheckPassed:
		return say("passed")
	case CodeCheckFailed:
		return say("failed")
	case CodeCheckEnded:
		return say("is over without a verdict")
	case CodePatternSeen:
		return say("pattern seen %d times", f.Failures)
	case CodeNovelErrors:
		return say("%s of errors that the old version does not write, %s, such as", kinds(say, f.Needed), lines(say, f.Failures))
	case CodeOldLogsUnread:
		return say("what the old version writes could not be learned")
	case CodeNoPattern:
		return say("no pattern seen in %s lines", thousands(f.Requests))
	default:
		return string(f.Code)
	}
}

func kinds(say func(format string, args ...any) string, n int64) string {
	if n == 1 {
		return say("1 kind")
	}
	return say("%s kinds", thousands(n))
}

func lines(say func(format string, args ...any) string, n int64) string {
	if n == 1 {
		return say("1 line")
	}
	return say("%s lines", thousands(n))
}

// thousands writes 4912 as 4,912.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// sum is the verdict of all gates together: the worst counts.
func sum(findings []Finding) Verdict {
	worst := Pass
	for i := range findings {
		if rank(findings[i].Verdict) > rank(worst) {
			worst = findings[i].Verdict
		}
	}
	return worst
}

func rank(v Verdict) int {
	switch v {
	case Pass:
		return 0
	case Hold:
		return 1
	case NoData:
		return 2
	case Fail:
		return 3
	}
	return 3
}

// covered says that every gate watched the interval.
func covered(findings []Finding) bool {
	for i := range findings {
		if !findings[i].Covered {
			return false
		}
	}
	return true
}

// isCondemned says that a failing gate blames the version.
func isCondemned(findings []Finding) bool {
	for i := range findings {
		if findings[i].Verdict == Fail && !findings[i].Blameless {
			return true
		}
	}
	return false
}

// failed returns the texts of the failing findings.
func failed(findings []Finding) string {
	var texts []string
	for i := range findings {
		if findings[i].Verdict == Fail {
			texts = append(texts, findings[i].Gate+": "+findings[i].Text())
		}
	}
	return strings.Join(texts, "; ")
}

// isSaid says that said is the short form of the findings: nothing has changed.
// Most looks change nothing, so it is not written out to be compared.
func isSaid(said string, findings []Finding) bool {
	for i := range findings {
		f, rest := &findings[i], said
		ok := i == 0
		if !ok {
			rest, ok = strings.CutPrefix(rest, " ")
		}
		for _, word := range [...]string{f.Gate, "=", string(f.Verdict)} {
			if ok {
				rest, ok = strings.CutPrefix(rest, word)
			}
		}
		if !ok {
			return false
		}
		said = rest
	}
	return said == ""
}

// verdicts is the short form that is compared from look to look.
func verdicts(findings []Finding) string {
	if len(findings) == 0 {
		return ""
	}
	var b strings.Builder
	for i := range findings {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(findings[i].Gate)
		b.WriteByte('=')
		b.WriteString(string(findings[i].Verdict))
	}
	return b.String()
}
