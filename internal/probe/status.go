package probe

import (
	"strings"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// classify says what HAProxy's status column means for a server with this check
// result and weight. No evidence is no good evidence: a server that has not been
// checked since the process started is unknown, although HAProxy calls it UP and
// sends it requests.
func classify(status, check string, weight int64) observe.ServerStatus {
	word, detail, ok := splitStatus(status)
	if !ok {
		return observe.ServerUnknown
	}
	switch word {
	case "MAINT", "DRAIN", "NOLB":
		return observe.ServerOut
	case "DOWN":
		if isUnchecked(check) {
			return observe.ServerUnknown
		}
		return observe.ServerDown
	case "UP":
		// A fresh server reads "UP 1/fall" with no result yet. "UP 1/3" with a
		// result is on its way down and still serves.
		if isUnchecked(check) || (strings.HasPrefix(detail, "1/") && check == "") {
			return observe.ServerUnknown
		}
		return usable(weight)
	case "no check":
		return usable(weight)
	}
	return observe.ServerUnknown
}

// usable is the class of a server in rotation. Draining by Rancher's lb-controller
// sets weight 0 and leaves the status UP (lb-controller: provider/haproxy/haproxy.go).
func usable(weight int64) observe.ServerStatus {
	if weight == 0 {
		return observe.ServerOut
	}
	return observe.ServerUp
}

// isUnchecked says that no check has finished since the process started.
func isUnchecked(check string) bool { return check == "INI" || check == "UNK" }

// splitStatus takes a status apart as
//
//	^(UP|DOWN|NOLB|DRAIN|MAINT|no check|OPEN|FULL|STOP|WAITING)( \d+/\d+| \(.*\))?$
//
// would: the word and what follows it.
func splitStatus(status string) (word, detail string, ok bool) {
	for _, w := range statusWords {
		rest, found := strings.CutPrefix(status, w)
		if !found {
			continue
		}
		if rest == "" {
			return w, "", true
		}
		detail, found = strings.CutPrefix(rest, " ")
		return w, detail, found && (isFraction(detail) || isParenthesis(detail))
	}
	return "", "", false
}

// statusWords are all the words of HAProxy 1.5 to 3.x (haproxy: src/stats.c); none
// is a prefix of another.
var statusWords = [...]string{
	"UP", "DOWN", "NOLB", "DRAIN", "MAINT", "no check",
	"OPEN", "FULL", "STOP", "WAITING",
}

func isFraction(s string) bool {
	n, m, found := strings.Cut(s, "/")
	return found && isDigits(n) && isDigits(m)
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func isParenthesis(s string) bool {
	return len(s) >= 2 && s[0] == '(' && s[len(s)-1] == ')' && !strings.Contains(s, "\n")
}
