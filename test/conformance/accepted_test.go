package conformance

import (
	"regexp"
	"slices"
)

// accepted lists the members that may differ, by path, each with its reason. Whatever is not here must be equal.
var accepted = []struct {
	path string // Regular expression over the path of a member.
	why  string
}{
	{`(^|\.)(id|uuid|accountId|stackId|instanceId|serviceId|secretId|toServiceId|hostId)$`, "identity; ids are compared through the map between both sides"},
	{`(^|\.)instanceIds`, "identity, and the real one's cache lags"},
	{`(^|\.)(created|removed|firstRunning)(TS)?$`, "time"},
	{`(^|\.)(links|actions)\.`, "addresses; the names of links and actions are compared"},
	{`(^|\.)version$`, "random; the map between versions is checked"},
	{`^linkedServices\.`, "identity"},
	{`(^|\.)createIndex$`, "written with some delay by the real one"},
	{`^publicEndpoints`, "the recorded host address is the simulator's own, and the field lags"},
	{`^healthState$`, "recomputed with some delay; its sequence is compared"},
	{`^(transitioning|transitioningMessage)$`, "their sequence is compared"},
	{`^currentScale$`, "compared in the sequence"},
	{`^upgrade$`, "written between the answer and 0.3 s later, by both; its content is compared once both have it"},
	{`^data$`, "lists are compared record by record"},
	{`\.ports\[\d+\]$`, "random host ports"},
	{`^secondaryLaunchConfigs$`, "null until the service is registered, which takes both a moment"},
}

var acceptedPaths = compile()

func compile() []*regexp.Regexp {
	var list []*regexp.Regexp
	for _, a := range accepted {
		list = append(list, regexp.MustCompile(a.path))
	}
	return list
}

func isAccepted(path string) bool {
	for _, re := range acceptedPaths {
		if re.MatchString(path) {
			return true
		}
	}
	return false
}

// passing lists lines of recordings that are not compared, by recording, each group with its reason.
var passing = map[string][]struct {
	lines []int
	why   string
}{
	"10-put-during-upgrade": {{[]int{68, 70, 72, 75, 79}, "an error of Cattle's own that passes: it stops a container that a lower scale has just removed"}},
	"13-variants":           {{[]int{36, 37}, "the old containers turn healthy before or after the new ones are gone, whichever is first"}},
}

// isPassing tells whether a line is left out.
func isPassing(name string, seq int) bool {
	for _, p := range passing[name] {
		if slices.Contains(p.lines, seq) {
			return true
		}
	}
	return false
}
