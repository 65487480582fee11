package desired

// APIVersion is the only configuration version this build reads.
const APIVersion = "drover/v1"

// Config is the whole of targets.yaml.
type Config struct {
	// APIVersion must be drover/v1.
	APIVersion string `json:"apiVersion" is:"apiVersion"`
	// Owner is the stable name this Drover signs its rollouts with (label
	// io.drover.owner). Where it is left out, the environment and host name are
	// written once to the state directory.
	Owner string `json:"owner,omitempty" is:"label"`
	// Rancher is the server whose services are driven.
	Rancher Rancher `json:"rancher"`
	// Registries holds what is not default about a registry. A registry that a
	// target names and that is not listed is asked anonymously over HTTPS.
	Registries []Registry `json:"registries,omitempty"`
	// LoadBalancers are the HAProxy statistics pages that gates may name.
	LoadBalancers []LoadBalancer `json:"loadBalancers,omitempty"`
	// Prometheus are the servers that gates may query.
	Prometheus []PrometheusServer `json:"prometheus,omitempty"`
	// Checks are what gates may have called once per rollout: webhooks, commands,
	// GitLab pipelines.
	Checks []Check `json:"checks,omitempty"`
	// API is the daemon's HTTP API over TCP, beside the unix socket in the state
	// directory that is always there.
	API *API `json:"api,omitempty"`
	// Limits bounds how much may happen at once over all targets.
	Limits Limits `json:"limits,omitzero"`
	// Defaults is merged into every target that does not set the same key.
	Defaults Defaults `json:"defaults,omitzero"`
	// Targets are the services that follow an image.
	Targets []Target `json:"targets"`

	warnings Errors
}

// Rancher says where the Rancher 1.6 API is and with which key it is asked.
type Rancher struct {
	// URL is the server; /v2-beta is added when missing.
	URL string `json:"url" is:"apiURL"`
	// Environment is the Rancher environment (project), by name or id (1a5).
	// Empty means the only one the key can see.
	Environment string `json:"environment,omitempty"`
	// AccessKey is the user name of an environment API key.
	AccessKey Secret `json:"accessKey"`
	// SecretKey is its password.
	SecretKey Secret `json:"secretKey"`
	// CAFile is a PEM bundle trusted in addition to the system's.
	CAFile string `json:"caFile,omitempty"`
	// Timeout bounds each request.
	Timeout Duration `json:"timeout,omitzero" range:"100ms,5m"`
	// Relist is how often the services are listed again although the event
	// stream is up: the safety net.
	Relist Duration `json:"relist,omitzero" range:"1s,24h"`
}

// Registry is a Docker registry, by the host that image names use.
type Registry struct {
	// Host is host[:port] as it stands in image names.
	Host string `json:"host" is:"host"`
	// Poll is how often each followed reference is asked for.
	Poll Duration `json:"poll,omitzero" range:"100ms,24h"`
	// Username is for basic authentication or the token service.
	Username string `json:"username,omitempty"`
	// Password goes with the user name.
	Password Secret `json:"password,omitzero"`
	// DockerConfig is the path of a Docker config.json to take credentials from.
	DockerConfig string `json:"dockerConfig,omitempty"`
	// CAFile is a PEM bundle trusted in addition to the system's.
	CAFile string `json:"caFile,omitempty"`
	// PlainHTTP speaks http:// to this registry.
	PlainHTTP bool `json:"plainHTTP,omitempty"`
	// TokenHosts are other hosts that may serve this registry's tokens.
	TokenHosts []string `json:"tokenHosts,omitempty" is:"host"`
	// RequestsPerSecond bounds what all targets together ask of it.
	RequestsPerSecond float64 `json:"requestsPerSecond,omitempty" range:"0.1,10000"`
	// Concurrency is the number of requests under way at once.
	Concurrency int `json:"concurrency,omitempty" range:"1,1000"`
}

// LoadBalancer is one HAProxy whose statistics can be read.
type LoadBalancer struct {
	// Name is what gates refer to.
	Name string `json:"name" is:"label"`
	// Stats is where the statistics are: the URL of the page, without ;csv, or the
	// runtime socket, unix:///var/run/haproxy.sock or tcp://host:port. Several
	// instances of one load balancer are several of them. With ;json at the end JSON
	// is read instead of CSV, from HAProxy 2.1 on (sockets: 1.8).
	Stats URLs `json:"stats" is:"statsURL"`
	// Auth is the page's basic authentication.
	Auth *BasicAuth `json:"auth,omitempty"`
	// Backends are the proxies (pxname) to look at.
	Backends []string `json:"backends,omitempty"`
}

// BasicAuth is a user name and a password.
type BasicAuth struct {
	// Username is sent as it is.
	Username string `json:"username"`
	// Password is where the password is found.
	Password Secret `json:"password"`
}

// PrometheusServer is one Prometheus, or what answers its query API.
type PrometheusServer struct {
	// Name is what gates refer to.
	Name string `json:"name" is:"label"`
	// URL is the server; /api/v1/query is added.
	URL string `json:"url" is:"apiURL"`
	// Auth is basic authentication.
	Auth *BasicAuth `json:"auth,omitempty"`
	// Token is sent as "Authorization: Bearer …".
	Token Secret `json:"token,omitzero"`
	// Timeout bounds each query; a look waits for it.
	Timeout Duration `json:"timeout,omitzero" range:"100ms,3s"`
}

// Check is something else that judges a new version: one of webhook, command and
// pipeline. It is called once per rollout, when every container is proved.
type Check struct {
	// Name is what gates refer to.
	Name string `json:"name" is:"label"`
	// Webhook is called over HTTP.
	Webhook *WebhookCheck `json:"webhook,omitempty"`
	// Command is run on Drover's machine, as its user.
	Command *CommandCheck `json:"command,omitempty"`
	// Pipeline is triggered in GitLab.
	Pipeline *PipelineCheck `json:"pipeline,omitempty"`
	// Timeout bounds the time from the call to the verdict. One that comes later
	// does not count.
	Timeout Duration `json:"timeout,omitzero" range:"1s,24h"`
	// Every is the time between two looks at a check that has no verdict yet.
	Every Duration `json:"every,omitzero" range:"1s,10m"`
}

// WebhookCheck is a POST with the rollout's JSON.
type WebhookCheck struct {
	// URL is called. What it holds beyond the host is not logged.
	URL string `json:"url" is:"url"`
	// Token is sent as "Authorization: Bearer …".
	Token Secret `json:"token,omitzero"`
}

// CommandCheck is a program that reads the rollout's JSON from its standard input.
type CommandCheck struct {
	// Run is the program and its arguments; there is no shell.
	Run []string `json:"run"`
	// Env is further variables of its environment, each from a secret's place. It
	// has PATH, HOME, LANG, TMPDIR and DROVER_… and nothing else of Drover's.
	Env map[string]Secret `json:"env,omitempty" keys:"env"`
}

// PipelineCheck is a pipeline of a GitLab project.
type PipelineCheck struct {
	// URL is the GitLab server.
	URL string `json:"url" is:"apiURL"`
	// Project is group/project, or its number in quotes.
	Project string `json:"project"`
	// Ref is the branch or tag whose pipeline is run.
	Ref string `json:"ref"`
	// Token is an access token with the api scope.
	Token Secret `json:"token"`
	// Variables are given to the pipeline beside those of the rollout
	// (DROVER_ROLLOUT, DROVER_IMAGE, …).
	Variables map[string]string `json:"variables,omitempty" keys:"env"`
}

// API says where the daemon's API is served over TCP, and to whom.
type API struct {
	// Listen is the address to serve on, host:port; an empty host means every
	// address of the machine. A restart puts a change in force.
	Listen string `json:"listen" is:"listen"`
	// Token is what a request must bring as "Authorization: Bearer …", also a
	// registry's notification. Only /healthz is answered without.
	Token Secret `json:"token"`
	// CertFile is a PEM chain to serve HTTPS with; a renewed file is taken at once.
	CertFile string `json:"certFile,omitempty"`
	// KeyFile is the key that goes with it.
	KeyFile string `json:"keyFile,omitempty"`
}

// Limits bounds what happens at once.
type Limits struct {
	// RolloutsPerEnvironment is how many rollouts may be open at once.
	RolloutsPerEnvironment int `json:"rolloutsPerEnvironment,omitempty" range:"1,1000"`
	// RolloutsPerLoadBalancer is how many of them may share a load balancer.
	RolloutsPerLoadBalancer int `json:"rolloutsPerLoadBalancer,omitempty" range:"1,1000"`
	// RollbacksPerHour is the number of rollbacks within an hour after which no
	// rollout starts anywhere (rollbacks go on).
	RollbacksPerHour int `json:"rollbacksPerHour,omitempty" range:"1,1000"`
}

// Defaults is what a target inherits.
type Defaults struct {
	// FirstSight is the default of targets[].firstSight.
	FirstSight FirstSight `json:"firstSight,omitempty"`
	// Platform is the default of targets[].platform.
	Platform string `json:"platform,omitempty" is:"platform"`
	// Rollout is merged into each target's rollout, key by key.
	Rollout Rollout `json:"rollout,omitzero"`
	// Gates is merged into each target's gates, gate by gate and key by key.
	Gates Gates `json:"gates,omitzero"`
}

// Target is one service that follows one image.
type Target struct {
	// Name is what people and commands call the target, unique in the file.
	Name string `json:"name,omitempty" is:"label"`
	// Stack is the name of the Rancher stack.
	Stack string `json:"stack" is:"name"`
	// Service is the name of the service within the stack.
	Service string `json:"service" is:"name"`
	// Image is the tag to follow, host/repository:tag.
	Image string `json:"image" is:"image"`
	// Containers is further images to follow: sidekick name to image. All change
	// in one rollout.
	Containers map[string]string `json:"containers,omitempty" keys:"name" is:"image"`
	// Platform is the hosts' os/architecture[/variant].
	Platform string `json:"platform,omitempty" is:"platform"`
	// FirstSight says what to do with a service that runs a bare tag.
	FirstSight FirstSight `json:"firstSight,omitempty"`
	// Hold keeps the target from starting anything; the text is the reason shown
	// to people.
	Hold string `json:"hold,omitempty"`
	// Pause stops every write but a rollback, also of a rollout under way.
	Pause bool `json:"pause,omitempty"`
	// Abort is the id of a rollout to take back; it acts on that one only.
	Abort string `json:"abort,omitempty" is:"label"`
	// Retry is a quarantined digest to try once more; when it is taken back again, only
	// `drover retry` asks anew.
	Retry string `json:"retry,omitempty" is:"digest"`
	// Rollout is how the service is upgraded.
	Rollout Rollout `json:"rollout,omitzero"`
	// Gates is how the new version is judged.
	Gates Gates `json:"gates,omitzero"`
}

// FirstSight is what to do when a service runs a bare tag and nothing is known.
type FirstSight string

const (
	// Adopt remembers the tag's digest without touching the service; the next
	// digest is deployed.
	Adopt FirstSight = "adopt"
	// Deploy rolls the tag's digest out at once, pinning it.
	Deploy FirstSight = "deploy"
)

// Finish says who finishes an upgrade whose gates passed.
type Finish string

const (
	// FinishAuto finishes when the bake is over.
	FinishAuto Finish = "auto"
	// FinishManual waits for a person's approval after the bake.
	FinishManual Finish = "manual"
)

// OnTimeout says what happens when a wait for a person or for evidence is over.
type OnTimeout string

const (
	// TimeoutRollback takes the version back.
	TimeoutRollback OnTimeout = "rollback"
	// TimeoutHold leaves the service in upgraded and calls for a person.
	TimeoutHold OnTimeout = "hold"
)

// OnSameLayers says what happens with a new digest that holds what was taken back.
type OnSameLayers string

const (
	// SameLayersAllow rolls it out like any other, and says so.
	SameLayersAllow OnSameLayers = "allow"
	// SameLayersHold leaves it to a person.
	SameLayersHold OnSameLayers = "hold"
)

// Rollout is the policy of an upgrade.
type Rollout struct {
	// BatchSize is how many containers are replaced at once.
	BatchSize int `json:"batchSize,omitempty" range:"1,1000"`
	// Interval is Rancher's pause between batches: pacing, not a gate. At most
	// 30s, because a rollback uses it too; at least 100ms, Rancher's own bound.
	Interval Duration `json:"interval,omitzero" range:"100ms,30s"`
	// StartFirst starts the new container before the old one is stopped.
	StartFirst *bool `json:"startFirst,omitempty"`
	// Settle is how long a new digest must stay the same before it is taken.
	Settle *Duration `json:"settle,omitempty" range:"0s,1h"`
	// Look is the time between two looks at a rollout under way.
	Look Duration `json:"look,omitzero" range:"100ms,30s"`
	// Bake is how long every gate must hold, without a gap, in upgraded.
	Bake Duration `json:"bake,omitzero" range:"1s,24h"`
	// Probation is how long the gates keep watching after the finish.
	Probation *Duration `json:"probation,omitempty" range:"0s,168h"`
	// ProgressDeadline is when a rollout that has not been finished is taken
	// back, counted from its start.
	ProgressDeadline Duration `json:"progressDeadline,omitzero" range:"2s,168h"`
	// NoDataLimit is how long gates may be blind before a person is told.
	NoDataLimit Duration `json:"noDataLimit,omitzero" range:"1s,24h"`
	// RollbackDeadline is how long a rollback may take, predicted before the
	// start and watched afterwards.
	RollbackDeadline Duration `json:"rollbackDeadline,omitzero" range:"1s,24h"`
	// Backoff is the pause after a rollback before the target's next rollout;
	// it doubles.
	Backoff *Duration `json:"backoff,omitempty" range:"0s,168h"`
	// RollbacksPerDay is how many rollbacks a target may have in 24 hours before
	// it is held.
	RollbacksPerDay int `json:"rollbacksPerDay,omitempty" range:"1,100"`
	// Finish says who finishes the upgrade: auto when the bake is over, manual
	// when a person has approved it after the bake.
	Finish Finish `json:"finish,omitempty"`
	// ApprovalTimeout bounds the wait for a person with finish: manual.
	ApprovalTimeout Duration `json:"approvalTimeout,omitzero" range:"1s,168h"`
	// OnApprovalTimeout is what happens when nobody approved in time.
	OnApprovalTimeout OnTimeout `json:"onApprovalTimeout,omitempty"`
	// OnDeadline is what happens at the progress deadline when no gate has failed.
	OnDeadline OnTimeout `json:"onDeadline,omitempty"`
	// OnSameLayers is what happens with a new digest whose layers are those of a
	// quarantined one, as after a rebuild: allow rolls it out and says so, hold waits
	// for a person or for another push. Layers that run now are not asked about.
	OnSameLayers OnSameLayers `json:"onSameLayers,omitempty"`
}

// Gates judge a new version. A gate that is absent does not take part.
type Gates struct {
	// Health is Rancher's container health; always on.
	Health *HealthGate `json:"health,omitempty"`
	// LoadBalancer compares the servers' own error counters.
	LoadBalancer *LoadBalancerGate `json:"loadBalancer,omitempty"`
	// HTTP asks each container at its own address.
	HTTP *HTTPGate `json:"http,omitempty"`
	// TCP connects to each container at its own address.
	TCP *TCPGate `json:"tcp,omitempty"`
	// Logs fails when a new container logs a pattern.
	Logs *LogsGate `json:"logs,omitempty"`
	// Prometheus compares values that queries give with limits, and with the old
	// version's.
	Prometheus []PrometheusGate `json:"prometheus,omitempty"`
	// Checks are entries of checks, called once when every container is proved; all
	// must pass.
	Checks []string `json:"checks,omitempty" is:"label"`
}

// HealthGate is about Rancher's view of each container.
type HealthGate struct {
	// MinHealthyTime is how long a new container must have been healthy.
	MinHealthyTime Duration `json:"minHealthyTime,omitzero" range:"100ms,1h"`
	// Deadline is how long a new container may take to become healthy.
	Deadline Duration `json:"deadline,omitzero" range:"1s,24h"`
	// MaxRestarts is how many restarts and replacements of new containers a
	// rollout may have.
	MaxRestarts *int `json:"maxRestarts,omitempty" range:"0,1000"`
}

// LoadBalancerGate is about what users get, as the load balancer counts it.
type LoadBalancerGate struct {
	// Name is an entry of loadBalancers. It may come from defaults.
	Name string `json:"name,omitempty" is:"label"`
	// MaxErrorRate is the share of failed requests a version may have.
	MaxErrorRate *Percent `json:"maxErrorRate,omitempty"`
	// MinRequests is the minimum evidence: the number of requests of the new
	// version without which the gate cannot pass.
	MinRequests int `json:"minRequests,omitempty" range:"1,1000000"`
	// ProbesCount says whether HTTP probes may fill the minimum evidence.
	ProbesCount *bool `json:"probesCount,omitempty"`
	// Shadow is how often the load balancer is looked at while nothing is rolled
	// out: to know how the running version does, and to try on halves of it how often
	// the gate would be wrong. 0s looks only around rollouts.
	Shadow *Duration `json:"shadow,omitempty" range:"0s,10m"`
}

// HTTPGate is a probe of each new container at its own address.
type HTTPGate struct {
	// Port is the container's port. It may come from defaults.
	Port int `json:"port,omitempty" range:"1,65535"`
	// Path is asked for with GET.
	Path string `json:"path,omitempty" is:"path"`
	// Every is the time between two probes of a container.
	Every Duration `json:"every,omitzero" range:"100ms,5m"`
	// Timeout bounds one probe.
	Timeout Duration `json:"timeout,omitzero" range:"10ms,1m"`
	// Statuses are the accepted answers; none means 200 to 399.
	Statuses []int `json:"statuses,omitempty" range:"100,599"`
	// ExpectHeaders are RE2 patterns that the answer's headers must match, by
	// header name.
	ExpectHeaders map[string]string `json:"expectHeaders,omitempty" keys:"header" is:"pattern"`
	// ExpectBody is an RE2 pattern that the answer's body (its first 64 KiB) must
	// match.
	ExpectBody string `json:"expectBody,omitempty" is:"pattern"`
	// ExpectJSON is what a JSON body must hold: the text of a string, number,
	// true, false or null by its path, as in checks.db or nodes[0].name.
	ExpectJSON map[string]string `json:"expectJSON,omitempty" keys:"jsonPath"`
	// IdentityHeader is a header of the answer that must hold the container's own
	// name, Rancher id or IP: then no other container can answer for it.
	IdentityHeader string `json:"identityHeader,omitempty" is:"header"`
	// FailureThreshold is how many failed probes in a row of one container fail
	// the version.
	FailureThreshold int `json:"failureThreshold,omitempty" range:"1,100"`
	// Headers are sent with the probe. They are no place for a secret.
	Headers map[string]string `json:"headers,omitempty" keys:"header"`
	// EvidenceRate is how many probes a second each container gets while the
	// load balancer gate is short of its minimum evidence; 0 leaves it at every.
	EvidenceRate float64 `json:"evidenceRate,omitempty" range:"0,20"`
	// WarmUp is how long after its start a container's answering times are not
	// compared yet.
	WarmUp *Duration `json:"warmUp,omitempty" range:"0s,1h"`
	// MaxSlowdown is how much slower than the old version's the new one's median
	// answer may be before the rollout is held; 0 does not compare them.
	MaxSlowdown *float64 `json:"maxSlowdown,omitempty" range:"0,1000"`
}

// TCPGate is a connection to each new container at its own address.
type TCPGate struct {
	// Port is the container's port. It may come from defaults.
	Port int `json:"port,omitempty" range:"1,65535"`
	// Every is the time between two probes of a container.
	Every Duration `json:"every,omitzero" range:"100ms,5m"`
	// Timeout bounds one probe.
	Timeout Duration `json:"timeout,omitzero" range:"10ms,1m"`
	// FailureThreshold is how many failed probes in a row of one container fail
	// the version.
	FailureThreshold int `json:"failureThreshold,omitempty" range:"1,100"`
}

// LogsGate is about what new containers write.
type LogsGate struct {
	// Fail are RE2 patterns; one line of a new container that matches fails the
	// version.
	Fail []string `json:"fail,omitempty" is:"pattern"`
	// Novelty says what is made of errors that only the new version writes: report
	// tells of them, hold also keeps the rollout from finishing until a person
	// decides, off does not follow the old version.
	Novelty Novelty `json:"novelty,omitempty"`
}

// Novelty is what is made of errors that only the new version writes.
type Novelty string

const (
	// NoveltyReport tells of them.
	NoveltyReport Novelty = "report"
	// NoveltyHold tells, and holds.
	NoveltyHold Novelty = "hold"
	// NoveltyOff does not look for them.
	NoveltyOff Novelty = "off"
)

// PrometheusGate is about one value that a query gives for the new version.
type PrometheusGate struct {
	// Name is what people call the value, unique among the target's.
	Name string `json:"name" is:"label"`
	// Server is an entry of prometheus.
	Server string `json:"server" is:"label"`
	// Query is PromQL that gives one value. $ips, $ids and $names become patterns
	// of the new containers' addresses, Rancher ids and names, $stack and $service
	// the target's.
	Query string `json:"query"`
	// OldQuery is asked for the old version, where $ips, $ids and $names are the old
	// containers. With maxRatio it is query itself where it is left out.
	OldQuery string `json:"oldQuery,omitempty"`
	// Max is what the value must not be above.
	Max *float64 `json:"max,omitempty" range:"-1000000000000,1000000000000"`
	// Min is what the value must not be below.
	Min *float64 `json:"min,omitempty" range:"-1000000000000,1000000000000"`
	// MaxRatio is how many times the old version's value the new one's may be.
	MaxRatio *float64 `json:"maxRatio,omitempty" range:"0.001,1000000"`
	// IgnoreBelow is a value up to which the ratio says nothing: twice nothing is
	// nothing.
	IgnoreBelow float64 `json:"ignoreBelow,omitempty" range:"0,1000000000000"`
	// Every is the time between two queries.
	Every Duration `json:"every,omitzero" range:"1s,10m"`
	// StaleAfter is how old a value may be.
	StaleAfter Duration `json:"staleAfter,omitzero" range:"1s,1h"`
	// FailureThreshold is how many values in a row must be out of their limits to
	// fail the version.
	FailureThreshold int `json:"failureThreshold,omitempty" range:"1,100"`
}
