package deploytool

import (
	"regexp"
	"strings"
)

// moments are what a pipeline may grep for, each by the words that both tools share.
var moments = []struct {
	name string
	line *regexp.Regexp
}{
	{"url", regexp.MustCompile(`^Error: .*URL (does not|doesn't) look right`)},
	{"connect", regexp.MustCompile(`^Error: Unable to connect to Rancher at [\w.:-]+`)},
	{"environment", regexp.MustCompile(`^Error: The .*environment.* (does not|doesn't) exist in Rancher`)},
	{"secret", regexp.MustCompile(`^Error: Cannot find secret \S+ in environment 1a\d+`)},
	{"no stack", regexp.MustCompile(`^Error: Unable to find a stack called '[^']+'`)},
	{"no service", regexp.MustCompile(`^Error: Unable to find a service called '[^']+'`)},
	{"creating stack", regexp.MustCompile(`^Creating stack \S+ in environment \S+\.\.\.$`)},
	{"creating service", regexp.MustCompile(`^Creating service \S+ in environment \S+ with image \S+\.\.\.$`)},
	{"host", regexp.MustCompile(`^Scheduled host \S+$`)},
	{"links", regexp.MustCompile(`^Service links set$`)},
	{"created", regexp.MustCompile(`^Creation finished$`)},
	{"not created", regexp.MustCompile(`^Error: Unable to create .*(stack|service)`)},
	{"previous", regexp.MustCompile(`'upgraded'.*(finishing|marking) the previous upgrade`)},
	{"state", regexp.MustCompile(`^Error: Unable to start .*upgrade: .*state.*'[a-z-]+', but it needs to be 'active'`)},
	{"upgrading", regexp.MustCompile(`^Upgrading \S+/\S+ in environment \S+\.\.\.$`)},
	{"refused", regexp.MustCompile(`^Error: Unable to request an upgrade on Rancher`)},
	{"started", regexp.MustCompile(`^Upgrade started`)},
	{"timeout", regexp.MustCompile(`^Error: A timeout occurr?ed while waiting for Rancher to complete the upgrade`)},
	{"rolling back", regexp.MustCompile(`(?i)rollback.*\.\.\.$`)},
	{"rolled back", regexp.MustCompile(`^Service .*rolled back`)},
	{"upgraded", regexp.MustCompile(`^Service upgraded$`)},
	{"finishing", regexp.MustCompile(`^Finishing upgrade\.\.\.$`)},
	{"finished", regexp.MustCompile(`^Upgrade finished$`)},
	{"stack trace", regexp.MustCompile(`^Traceback `)},
	{"error", regexp.MustCompile(`^Error: `)},
}

// outcome are the moments of an output, in order. An error is a moment of its own where it is none of the others.
func outcome(output string) []string {
	var found []string
	for _, line := range strings.Split(output, "\n") {
		for _, m := range moments {
			if m.line.MatchString(line) {
				if len(found) == 0 || found[len(found)-1] != m.name {
					found = append(found, m.name)
				}
				break
			}
		}
	}
	return found
}
