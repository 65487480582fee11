package ranchersim

import (
	"slices"
	"time"
)

// The faults a server can be asked for, by name. What each does and takes is in the catalogue below.
const (
	FaultLate       = "late"
	FaultCutBefore  = "cut-before"
	FaultCutAfter   = "cut-after"
	FaultStale      = "stale"
	FaultHTML       = "html"
	FaultTruncated  = "truncated"
	FaultEndless    = "endless"
	Fault401        = "401"
	Fault403        = "403"
	Fault404        = "404"
	Fault409        = "409"
	Fault422        = "422"
	Fault429        = "429"
	Fault500        = "500"
	Fault502        = "502"
	Fault503        = "503"
	FaultShortPages = "short-pages"
	FaultLostPages  = "lost-pages"

	FaultStall         = "stall"
	FaultStallFinish   = "stall-finish"
	FaultStallRollback = "stall-rollback"
	FaultEarlyUpgraded = "early-upgraded"
	FaultTwoUpgrades   = "two-upgrades"
	FaultWrongRollback = "wrong-rollback"
	FaultUnknownState  = "unknown-state"
	FaultHiddenAction  = "hidden-action"
	FaultNoHealth      = "no-health"

	FaultLostEvent = "lost-event"
	FaultRestart   = "restart"
	FaultHostLost  = "host-lost"
	FaultInactive  = "inactive-environment"
	FaultSkew      = "skew"
)

// Fault says what goes wrong, where, how often and for how long. The zero value of every field but Name is a sensible
// default.
type Fault struct {
	Name string

	// Method, Path, Action and Key choose requests: Path is a part of the path and query, Action the value of ?action=,
	// Key the access key that asks.
	Method, Path, Action, Key string
	// Service chooses services, by id (1s7) or as stack/name.
	Service string

	// Skip spares that many occasions first; Count is how often it then happens, 0 is always.
	Skip, Count int
	// Chance is the probability each time, by the server's seed; 0 is certain.
	Chance float64
	// For is how long it lasts from when it was asked for, in real time; 0 is until it is cleared.
	For time.Duration

	// Delay is the lateness of late, Applied says that a request is done before it is answered wrongly.
	Delay   time.Duration
	Applied bool
	// Code and Field are those of an error's body; Page answers with a proxy's page instead of Rancher's words.
	Code, Field string
	Page        bool
	// Size is of short-pages, State of unknown-state, Host of host-lost, By of skew.
	Size  int
	State string
	Host  string
	By    time.Duration
	// Now has a restart happen at once, not in the middle of a batch.
	Now bool
}

// FaultKind is a line of the catalogue.
type FaultKind struct {
	Name string `json:"name"`
	// What it does, as a sentence.
	What string `json:"what"`
	// Args are the names of the arguments it takes.
	Args []string `json:"args"`
}

// Groups of arguments.
var (
	howOften    = []string{"skip", "count", "chance", "for"}
	ofRequests  = append([]string{"method", "path", "action", "key"}, howOften...)
	ofServices  = append([]string{"service"}, howOften...)
	ofAnswers   = append([]string{"applied"}, ofRequests...)
	ofErrors    = append([]string{"code", "field", "page"}, ofAnswers...)
	whileActive = []string{"service", "for"}
)

func with(args []string, more ...string) []string { return append(slices.Clone(more), args...) }

var faultKinds = []FaultKind{
	{FaultLate, "Answers after delay (10s). With applied the request is done at once and its answer is late; else it is not done when the client gave up.", with(ofAnswers, "delay")},
	{FaultCutBefore, "Closes the connection without doing anything.", ofRequests},
	{FaultCutAfter, "Does what is asked, then closes the connection without an answer.", ofRequests},
	{FaultStale, "Answers a read as it was first answered since the fault was asked for.", ofRequests},
	{FaultHTML, "Answers a proxy's page with status 200.", ofAnswers},
	{FaultTruncated, "Answers half of the JSON with status 200.", ofRequests},
	{FaultEndless, "Answers with status 200 and a body that does not end.", ofRequests},
	{Fault401, "Answers 401, as for a key that was revoked.", ofErrors},
	{Fault403, "Answers 403, as for a key that may not.", ofErrors},
	{Fault404, "Answers 404, as in a wrong environment.", ofErrors},
	{Fault409, "Answers 409, as when the service's state changed in between.", ofErrors},
	{Fault422, "Answers 422 with code (InvalidOption) and field (launchConfig).", ofErrors},
	{Fault429, "Answers 429 with Retry-After: 1.", ofErrors},
	{Fault500, "Answers 500.", ofErrors},
	{Fault502, "Answers 502 with a proxy's page.", ofErrors},
	{Fault503, "Answers 503.", ofErrors},
	{FaultShortPages, "Never puts more than size (100) things on a page.", with(ofRequests, "size")},
	{FaultLostPages, "Ends every list after its first page, as if there were no more.", ofRequests},
	{FaultStall, "Keeps an upgrade waiting for the health of its new containers.", ofServices},
	{FaultStallFinish, "Keeps finishing-upgrade from removing the old containers.", ofServices},
	{FaultStallRollback, "Keeps a rollback from going on.", ofServices},
	{FaultEarlyUpgraded, "Ends an upgrade after its first batch.", ofServices},
	{FaultTwoUpgrades, "Takes an upgrade of a service that has just begun another, as when both are posted at the same moment: the later one wins.", ofServices},
	{FaultWrongRollback, "Has a rollback keep the new launch configuration.", ofServices},
	{FaultUnknownState, "Shows services in state (pondering), which no client knows.", with(whileActive, "state")},
	{FaultHiddenAction, "Does not offer action (upgrade) among a service's links.", with(whileActive, "action")},
	{FaultNoHealth, "Shows no health of containers.", whileActive},
	{FaultLostEvent, "Does not send a change to the subscribers.", howOften},
	{FaultRestart, "Restarts Rancher in the middle of an upgrade's next batch, or at once with now: sockets break, requests get 503 for as long as for says (10s), work under way is cut and run again later. Once, unless count says otherwise.", with(ofServices, "now")},
	{FaultHostLost, "Loses the agent of host (the first one): it shows reconnecting, and its containers answer no check.", []string{"host", "for"}},
	{FaultInactive, "Deactivates the first environment: it shows inactive, and its own keys get 401.", []string{"for"}},
	{FaultSkew, "Sets Rancher's clock off by by, such as -3h.", []string{"by", "for"}},
}

// FaultKinds is the catalogue, in the order of the documentation.
func FaultKinds() []FaultKind { return slices.Clone(faultKinds) }

// FaultNames are the names of all faults.
func FaultNames() []string {
	names := make([]string, len(faultKinds))
	for n, k := range faultKinds {
		names[n] = k.Name
	}
	return names
}

func faultKind(name string) (FaultKind, bool) {
	n := slices.IndexFunc(faultKinds, func(k FaultKind) bool { return k.Name == name })
	if n < 0 {
		return FaultKind{}, false
	}
	return faultKinds[n], true
}
