package observe

import "time"

// Cause is why a part could not be read, in the few kinds that change what is
// done about it.
type Cause string

const (
	// CauseUnreachable is a connection, a time-out or a 5xx: it may pass by itself.
	CauseUnreachable Cause = "unreachable"
	// CauseAuth is a refused or missing credential.
	CauseAuth Cause = "auth"
	// CauseNotFound is a definite "there is no such thing" from the right peer.
	CauseNotFound Cause = "not-found"
	// CauseInvalid is an answer that cannot be understood or contradicts itself.
	CauseInvalid Cause = "invalid"
	// CauseUnusable is a source that can never answer as it is set up.
	CauseUnusable Cause = "unusable"
	// CausePending is a reading that has not been taken yet.
	CausePending Cause = "pending"
)

// Problem says that a part could not be read. Nil means it was.
type Problem struct {
	Cause Cause `json:"cause"`
	// Message says what was being done and what came of it, without secrets.
	Message string `json:"message"`
}

// Error lets a Problem travel as an error.
func (p *Problem) Error() string { return string(p.Cause) + ": " + p.Message }

// Snapshot is one look at one target.
type Snapshot struct {
	// At is when the look was begun, on the controller's clock.
	At time.Time `json:"at"`
	// Image is what the followed tag resolves to.
	Image Image `json:"image"`
	// Sidekicks are the images of targets[].containers, by sidekick name.
	Sidekicks map[string]Image `json:"sidekicks,omitempty"`
	// Previous says whether what runs now could be pulled again, or a rollback
	// would be impossible. Read only when a rollout may start.
	Previous Pullable `json:"previous"`
	// PreviousSidekicks say the same of the followed sidekicks, by name.
	PreviousSidekicks map[string]Pullable `json:"previousSidekicks,omitempty"`
	// Service is Rancher's view.
	Service Service `json:"service"`
	// Hosts is where containers could run.
	Hosts Hosts `json:"hosts"`
	// LoadBalancer, Probes and Logs are the gates' readings since the last look.
	LoadBalancer LoadBalancer `json:"loadBalancer"`
	// Probes are the samples of the HTTP gate, TCP those of the TCP gate.
	Probes Probes `json:"probes"`
	TCP    Probes `json:"tcp,omitzero"`
	// Logs counts what new containers wrote.
	Logs Logs `json:"logs"`
	// Metrics are the values of the Prometheus gate, in its order.
	Metrics []Metric `json:"metrics,omitempty"`
	// Checks are the results of the checks that were asked for.
	Checks []CheckResult `json:"checks,omitempty"`
	// Act is the last action on the service by Rancher's audit log; nil when it was
	// not asked for.
	Act *Act `json:"act,omitempty"`
	// Fleet is what goes on elsewhere.
	Fleet Fleet `json:"fleet"`
}

// Image is what a registry says of a reference.
type Image struct {
	Problem *Problem `json:"problem,omitempty"`
	// Ref is the reference as the target names it.
	Ref string `json:"ref,omitempty"`
	// Repository is the reference without tag and digest, host included.
	Repository string `json:"repository,omitempty"`
	// Digest is what the tag resolves to (an index stays an index): what is
	// pinned.
	Digest string `json:"digest,omitempty"`
	// Manifest is the digest of the platform's manifest; equal to Digest when the
	// tag is no index.
	Manifest string `json:"manifest,omitempty"`
	// Config is the digest of the platform's image configuration: what Docker
	// calls the image id.
	Config string `json:"config,omitempty"`
	// Layers are those of the platform's image.
	Layers Layers `json:"layers,omitzero"`
	// PlatformMissing says that an index has nothing for the platform.
	PlatformMissing bool `json:"platformMissing,omitempty"`
	// Revision is the source commit from the image's labels
	// (org.opencontainers.image.revision), Created its time.
	Revision string `json:"revision,omitempty"`
	// Created is the image configuration's creation time, as written there.
	Created string `json:"created,omitempty"`
	// SeenAt is when this digest was first seen without another in between.
	SeenAt time.Time `json:"seenAt,omitzero"`
	// CheckedAt is when the registry last confirmed it.
	CheckedAt time.Time `json:"checkedAt,omitzero"`
	// Flaps is how often the tag changed within the last ten minutes.
	Flaps int `json:"flaps,omitempty"`
}

// Pullable answers whether a digest can still be fetched.
type Pullable struct {
	Problem *Problem `json:"problem,omitempty"`
	// Digest is the one that was asked for; empty means nothing was asked.
	Digest string `json:"digest,omitempty"`
	// Manifest and Config are what it resolves to for the platform.
	Manifest string `json:"manifest,omitempty"`
	// Config is the image configuration's digest.
	Config string `json:"config,omitempty"`
	// OK says it can be fetched.
	OK bool `json:"ok,omitempty"`
}

// ServiceState is Rancher's own state of a service: the phase of a rollout.
type ServiceState string

// Rancher 1.6 service states (rancher-api 2.7).
const (
	StateRegistering      ServiceState = "registering"
	StateInactive         ServiceState = "inactive"
	StateActivating       ServiceState = "activating"
	StateActive           ServiceState = "active"
	StateUpdatingActive   ServiceState = "updating-active"
	StateUpdatingInactive ServiceState = "updating-inactive"
	StateDeactivating     ServiceState = "deactivating"
	StateUpgrading        ServiceState = "upgrading"
	StateUpgraded         ServiceState = "upgraded"
	StateFinishingUpgrade ServiceState = "finishing-upgrade"
	StateCancelingUpgrade ServiceState = "canceling-upgrade"
	StateCanceledUpgrade  ServiceState = "canceled-upgrade"
	StateRollingBack      ServiceState = "rolling-back"
	StateRestarting       ServiceState = "restarting"
	StateRemoving         ServiceState = "removing"
	StateRemoved          ServiceState = "removed"
	StatePurging          ServiceState = "purging"
	StatePurged           ServiceState = "purged"
)

// Service is what Rancher says of a service.
type Service struct {
	Problem *Problem `json:"problem,omitempty"`
	// ReadAt is when Rancher was last known to say so.
	ReadAt time.Time `json:"readAt,omitzero"`
	ID     string    `json:"id,omitempty"`
	Name   string    `json:"name,omitempty"`
	// Type is service, loadBalancerService, …
	Type  string `json:"type,omitempty"`
	Stack string `json:"stack,omitempty"`
	// StackKnown says that the stack could be read although the service could not:
	// the service is gone, not the view of it.
	StackKnown bool         `json:"stackKnown,omitempty"`
	State      ServiceState `json:"state,omitempty"`
	// HealthState is no verdict (it dips in every batch); for display.
	HealthState string `json:"healthState,omitempty"`
	// Transitioning is yes, no or error; error is not terminal.
	Transitioning        string `json:"transitioning,omitempty"`
	TransitioningMessage string `json:"transitioningMessage,omitempty"`
	// Actions are the actions Rancher offers now, by name.
	Actions []string `json:"actions,omitempty"`
	Scale   int      `json:"scale"`
	// CreateIndex counts the containers Rancher ever made for the service: it only
	// grows. Zero is not told.
	CreateIndex int `json:"createIndex,omitempty"`
	// Global services run one container per host, whatever Scale says.
	Global bool `json:"global,omitempty"`
	System bool `json:"system,omitempty"`
	// Own says that the process that looks runs in one of its containers.
	Own bool `json:"own,omitempty"`
	// HasHealthCheck says that Rancher checks the containers.
	HasHealthCheck bool `json:"hasHealthCheck,omitempty"`
	// RetainIP excludes startFirst; HostPorts needs spare hosts for it.
	RetainIP  bool `json:"retainIp,omitempty"`
	HostPorts bool `json:"hostPorts,omitempty"`
	// Launch is the launch configuration in force.
	Launch Launch `json:"launch"`
	// Secondary are the sidekicks' launch configurations.
	Secondary []Launch `json:"secondary,omitempty"`
	// Upgrade is the last upgrade, kept by Rancher after finish and rollback.
	Upgrade *Upgrade `json:"upgrade,omitempty"`
	// Containers are all containers that are not removed, old and new.
	Containers []Container `json:"containers,omitempty"`
	// ContainersProblem says that the service was read and its containers were not.
	ContainersProblem *Problem `json:"containersProblem,omitempty"`
}

// Launch is the part of a launch configuration that Drover reads.
type Launch struct {
	// Name is the sidekick's name; empty for the primary.
	Name string `json:"name,omitempty"`
	// Image is imageUuid without its docker: prefix.
	Image string `json:"image,omitempty"`
	// StartsOnce says that its containers may end by themselves once they ran.
	StartsOnce bool `json:"startsOnce,omitempty"`
	// Version is set anew by Rancher at each upgrade.
	Version string `json:"version,omitempty"`
	// Labels are those that begin with io.drover.
	Labels map[string]string `json:"labels,omitempty"`
	// Secrets is how many Rancher secrets it references, -1 when the key cannot
	// see them.
	Secrets int `json:"secrets,omitempty"`
}

// Upgrade is Rancher's record of the last in-service upgrade.
type Upgrade struct {
	BatchSize      int   `json:"batchSize,omitempty"`
	IntervalMillis int64 `json:"intervalMillis,omitempty"`
	StartFirst     bool  `json:"startFirst,omitempty"`
	// To and From are the primary's launch configurations, ToSecondary and
	// FromSecondary the sidekicks'. What was not upgraded is not in To.
	To            Launch   `json:"to"`
	From          Launch   `json:"from"`
	ToSecondary   []Launch `json:"toSecondary,omitempty"`
	FromSecondary []Launch `json:"fromSecondary,omitempty"`
}

// Container is one container of a service.
type Container struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// LaunchName is the sidekick's name; empty for the primary.
	LaunchName string `json:"launchName,omitempty"`
	// Version is the launch configuration's version it was made from.
	Version string `json:"version,omitempty"`
	State   string `json:"state,omitempty"`
	// Health is empty when nothing is checked.
	Health string `json:"health,omitempty"`
	// Image is the requested image without docker:.
	Image string `json:"image,omitempty"`
	// ImageID is the configuration digest Docker really runs, from events; empty
	// when it was not seen.
	ImageID    string `json:"imageId,omitempty"`
	IP         string `json:"ip,omitempty"`
	HostID     string `json:"hostId,omitempty"`
	Unit       string `json:"unit,omitempty"`
	StartCount int    `json:"startCount,omitempty"`
	// CreateIndex grows per service; for display and order.
	CreateIndex int `json:"createIndex,omitempty"`
	// Transitioning and Message tell of start failures.
	Transitioning string `json:"transitioning,omitempty"`
	Message       string `json:"message,omitempty"`
}

// Hosts is how many hosts can take a container.
type Hosts struct {
	Problem *Problem `json:"problem,omitempty"`
	Active  int      `json:"active"`
	Total   int      `json:"total"`
	// Down are the ids of hosts that cannot run containers now.
	Down []string `json:"down,omitempty"`
}

// LoadBalancer is what the statistics page counted since the last look.
type LoadBalancer struct {
	Problem *Problem `json:"problem,omitempty"`
	// Reloaded says that the counters started again during the interval, which is
	// therefore not covered.
	Reloaded bool `json:"reloaded,omitempty"`
	// Partial says that not every instance answered: failures count, passes do
	// not.
	Partial bool `json:"partial,omitempty"`
	// Missing says of each instance that did not answer why it did not.
	Missing []Problem `json:"missing,omitempty"`
	// First says that there was no earlier look to count from.
	First bool `json:"first,omitempty"`
	// Version is the HAProxy column layout that was recognised, for display.
	Version string `json:"version,omitempty"`
	// Servers are the rows in which a container of the service was found, and
	// unknown ones of the same proxies.
	Servers []Server `json:"servers,omitempty"`
	// Others are the sums of the other services behind the same load balancer, and
	// OtherProxies the same by proxy, those with traffic and at most as many as
	// MaxOtherProxies.
	Others       Counts        `json:"others"`
	OtherProxies []ProxyCounts `json:"otherProxies,omitempty"`
}

// MaxOtherProxies bounds LoadBalancer.OtherProxies.
const MaxOtherProxies = 32

// ProxyCounts are the requests of one proxy.
type ProxyCounts struct {
	Proxy  string `json:"proxy"`
	Counts Counts `json:"counts"`
}

// Counts are requests of an interval.
type Counts struct {
	// Requests is Σ hrsp_* + eresp + econ; Failures is hrsp_5xx + eresp + econ.
	Requests int64 `json:"requests,omitempty"`
	Failures int64 `json:"failures,omitempty"`
	// ClientErrors is hrsp_4xx; never part of Failures.
	ClientErrors int64 `json:"clientErrors,omitempty"`
	// Retries is wretr + wredis: an early warning, never added to Failures.
	Retries int64 `json:"retries,omitempty"`
}

// Server is one server row, joined over the instances of a load balancer.
type Server struct {
	// Container is the id of the container behind the row; empty when unknown.
	Container string `json:"container,omitempty"`
	// Instance, Proxy and Name identify the row.
	Instance string `json:"instance,omitempty"`
	Proxy    string `json:"proxy,omitempty"`
	Name     string `json:"name,omitempty"`
	// Status is the class of the status column; Text the column itself.
	Status ServerStatus `json:"status,omitempty"`
	Text   string       `json:"text,omitempty"`
	Weight int64        `json:"weight"`
	// Check is check_status, without the "* " of a running check.
	Check string `json:"check,omitempty"`
	// Delta is what happened since the last look, Total since the epoch began.
	Delta Counts `json:"delta"`
	Total Counts `json:"total"`
	// Uncounted says that the proxy counts no HTTP responses (mode tcp): Delta and
	// Total then hold retries only.
	Uncounted bool `json:"uncounted,omitempty"`
	// CheckFailures is Δchkfail + Δchkdown.
	CheckFailures int64 `json:"checkFailures,omitempty"`
	// Latency is rtime in ms, averaged by HAProxy over an unknown window; -1 when
	// it must not be used. For display.
	Latency int64 `json:"latency"`
}

// ServerStatus classes HAProxy's status column.
type ServerStatus string

const (
	// ServerUp is usable (UP, no check) with a weight above zero.
	ServerUp ServerStatus = "up"
	// ServerDown is DOWN in any form.
	ServerDown ServerStatus = "down"
	// ServerOut is taken out by a person or by draining: MAINT, DRAIN, NOLB,
	// weight 0.
	ServerOut ServerStatus = "out"
	// ServerUnknown has no evidence: INI, UNK, or a text nobody knows.
	ServerUnknown ServerStatus = "unknown"
)

// Probes are samples of the HTTP or the TCP gate since the last look.
type Probes struct {
	Problem *Problem `json:"problem,omitempty"`
	Samples []Sample `json:"samples,omitempty"`
}

// Sample is one probe of one container.
type Sample struct {
	Container string    `json:"container"`
	At        time.Time `json:"at"`
	// Status is the HTTP status; 0 when there was no answer, and then Error says
	// why. A TCP probe that connected has neither.
	Status int    `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`
	// Unmet is what an answer lacks of what was expected of it, in words.
	Unmet   string        `json:"unmet,omitempty"`
	Latency time.Duration `json:"latency"`
}

// Logs is what the log gate's patterns found since the rollout began, and which
// errors only the new version writes.
type Logs struct {
	Problem *Problem `json:"problem,omitempty"`
	// Lines is how many lines of new containers were read.
	Lines   int64      `json:"lines,omitempty"`
	Matches []LogMatch `json:"matches,omitempty"`
	// Novel are kinds of errors that only the new version writes, the most frequent
	// first and at most twenty of them; NovelKinds and NovelLines count all, and
	// NovelCut says that there are more than were counted.
	Novel      []LogTemplate `json:"novel,omitempty"`
	NovelKinds int           `json:"novelKinds,omitempty"`
	NovelLines int64         `json:"novelLines,omitempty"`
	NovelCut   bool          `json:"novelCut,omitempty"`
	// OldLines is how many lines of the old version were learned from. OldProblem
	// says that it could not be learned what the old version writes: then nothing is
	// called novel.
	OldLines   int64    `json:"oldLines,omitempty"`
	OldProblem *Problem `json:"oldProblem,omitempty"`
}

// LogTemplate is a kind of line: what is left when numbers, times, ids and names
// are masked.
type LogTemplate struct {
	Template string `json:"template"`
	// Container is the one that wrote it first.
	Container string `json:"container"`
	Count     int64  `json:"count"`
	// Example is the first such line, at most 512 bytes of it.
	Example string `json:"example"`
}

// LogMatch is a pattern that was seen.
type LogMatch struct {
	Pattern   string `json:"pattern"`
	Container string `json:"container"`
	Count     int64  `json:"count"`
	// Example is the first line that matched, at most 512 bytes of it.
	Example string `json:"example"`
}

// Fleet is what the rest of this Drover is doing, for budgets.
type Fleet struct {
	// Self is this Drover's stable name, the one it signs its rollouts with.
	Self string `json:"self"`
	// Open is how many rollouts are open in the environment, this one apart.
	Open int `json:"open"`
	// OpenOnLoadBalancer is how many of them share this target's load balancer.
	OpenOnLoadBalancer int `json:"openOnLoadBalancer"`
	// RollbacksLastHour counts over all targets.
	RollbacksLastHour int `json:"rollbacksLastHour"`
	// LimitEnvironment, LimitLoadBalancer and LimitRollbacks are the configured
	// bounds; 0 means none.
	LimitEnvironment  int `json:"limitEnvironment"`
	LimitLoadBalancer int `json:"limitLoadBalancer"`
	LimitRollbacks    int `json:"limitRollbacks"`
	// ConservativeUntil is when starts are allowed again after the journal was
	// lost or damaged (C11); zero when it was not.
	ConservativeUntil time.Time `json:"conservativeUntil,omitzero"`
	// ObserveUntil is when this Drover may act again after it kept ending without
	// being stopped (C9); zero when it did not.
	ObserveUntil time.Time `json:"observeUntil,omitzero"`
	// NotDurable says that the journal cannot be written: nothing may start or
	// finish.
	NotDurable bool `json:"notDurable,omitempty"`
}

// HasRoom says whether one more rollout fits into the budgets.
func (f Fleet) HasRoom(hasLoadBalancer bool) bool {
	if f.LimitEnvironment > 0 && f.Open >= f.LimitEnvironment {
		return false
	}
	return !hasLoadBalancer || f.LimitLoadBalancer <= 0 || f.OpenOnLoadBalancer < f.LimitLoadBalancer
}
