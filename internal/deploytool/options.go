package deploytool

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Options are what one call asks for, after the environment was looked at.
type Options struct {
	// Verb is empty for the tool's own work; see the Verb constants.
	Verb Verb

	// URL, Key and Secret are Rancher's address and an API key.
	URL, Key, Secret string
	// LabelSeparator splits Labels, and nothing else.
	LabelSeparator string
	// Environment is an id or a name; empty takes the first that the key sees.
	Environment string
	// Stack and Service are names in any case; dots count as dashes.
	Stack, Service string

	StartFirst bool
	// BatchSize, BatchInterval and UpgradeTimeout are containers, and seconds.
	BatchSize, BatchInterval, UpgradeTimeout int
	// Wait off ends the call when the upgrade has begun.
	Wait bool
	// RollbackOnError rolls back when the wait for the upgrade times out.
	RollbackOnError bool
	// Finish off leaves the service upgraded.
	Finish bool
	// NewImage is a reference; empty launches the same image again.
	NewImage string
	// Sidekicks makes all sidekicks anew; SidekickImages are name and image.
	Sidekicks      bool
	SidekickImages []Pair
	Create         bool

	// Labels and Variables are lists in one text, Label and Variable single ones,
	// which win.
	Labels, Variables string
	Label, Variable   []Pair
	// What follows is for creating only.
	ServiceLinks string
	ServiceLink  []Pair
	HostID       string
	Secrets      string
	SecretNames  []string

	Debug     bool
	SSLVerify bool
	// CAFile is a PEM bundle trusted besides the system's.
	CAFile string

	// LabelMode and EnvMode say what happens to labels and variables that are not
	// given.
	LabelMode, EnvMode Mode
	// EnvFile holds further variables, as docker's --env-file does.
	EnvFile string
	// KeepPending fails rather than finish an upgrade that is still open.
	KeepPending bool
	// Gate is none, proof, or how long the new containers must be well before the
	// upgrade is finished.
	Gate string
	// RollbackOn are unhealthy, timeout and error.
	RollbackOn []string
	// Digest pins the image.
	Digest string
	// Deadline bounds the whole call but a rollback; 0 is none.
	Deadline time.Duration
	// Transport replaces the network, for tests.
	Transport http.RoundTripper
	// JSON prints one object at the end on standard output, and everything else on
	// standard error; Stderr only does the latter.
	JSON, Stderr bool
}

// Pair is a key and its value.
type Pair struct{ Key, Value string }

// Verb is a command besides the tool's own work.
type Verb string

// The further commands, which people asked the tool's authors for (#50).
const (
	Deploy   Verb = ""
	Finish   Verb = "finish"
	Rollback Verb = "rollback"
	Cancel   Verb = "cancel"
	Status   Verb = "status"
	// Logs only finds the service; the caller shows its logs.
	Logs Verb = "logs"
)

// Verbs are the commands that have a name.
var Verbs = []Verb{Finish, Rollback, Cancel, Status, Logs}

// Mode says what happens to what is not given.
type Mode string

// Replace drops it, as the tool does; Merge keeps it.
const (
	Replace Mode = "replace"
	Merge   Mode = "merge"
)

// What --gate knows besides a duration.
const (
	gateNone  = "none"
	gateProof = "proof"
)

// What --rollback-on knows.
const (
	onUnhealthy = "unhealthy"
	onTimeout   = "timeout"
	onError     = "error"
)

// Default is what the tool does without options.
func Default() Options {
	return Options{
		LabelSeparator: ",", BatchSize: 1, BatchInterval: 2, UpgradeTimeout: 300,
		Wait: true, Finish: true, SSLVerify: true, LabelMode: Replace, EnvMode: Replace, Gate: gateProof,
	}
}

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// Check finds what is wrong with the use of the options, before anything is done.
func (o *Options) Check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Verb != Deploy && !slices.Contains(Verbs, o.Verb) {
		bad("unexpected argument %q", o.Verb)
	}
	for _, m := range []struct {
		flag string
		mode Mode
	}{{"--label-mode", o.LabelMode}, {"--env-mode", o.EnvMode}} {
		if m.mode != Replace && m.mode != Merge {
			bad("%s %q is neither replace nor merge", m.flag, m.mode)
		}
	}
	if _, err := o.gate(); err != nil {
		errs = append(errs, err)
	}
	for _, on := range o.RollbackOn {
		if !slices.Contains([]string{onUnhealthy, onTimeout, onError}, on) {
			bad("--rollback-on %q is none of unhealthy, timeout, error", on)
		}
	}
	if o.Digest != "" && !digestForm.MatchString(o.Digest) {
		bad("--digest %q is not sha256: and 64 hexadecimal digits", o.Digest)
	}
	if o.Deadline < 0 {
		bad("--deadline %s is negative", o.Deadline)
	}
	return errors.Join(errs...)
}

// gate is how long the new containers must be well; below 0 they are not asked.
func (o *Options) gate() (time.Duration, error) {
	switch o.Gate {
	case gateNone:
		return -1, nil
	case gateProof:
		return 0, nil
	}
	d, err := time.ParseDuration(o.Gate)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("--gate %q is neither none, proof nor a time such as 30s", o.Gate)
	}
	return d, nil
}

// rollsBack says whether a kind of failure is answered by a rollback.
func (o *Options) rollsBack(kind string) bool {
	return slices.Contains(o.RollbackOn, kind) || kind == onTimeout && o.RollbackOnError
}

// labels are the labels that were given.
func (o *Options) labels() (map[string]string, error) {
	return pairs("--labels", o.Labels, o.LabelSeparator, o.Label)
}

// variables are those that were given; the file comes first, single ones last.
func (o *Options) variables() (map[string]string, error) {
	fromFile, err := readEnvFile(o.EnvFile)
	if err != nil {
		return nil, err
	}
	given, err := pairs("--variables", o.Variables, ",", o.Variable)
	if err != nil {
		return nil, err
	}
	for key, value := range given {
		fromFile[key] = value
	}
	return fromFile, nil
}

// links are name and service, in their order.
func (o *Options) links() ([]Pair, error) {
	listed, err := split("--service-links", o.ServiceLinks, ",")
	return append(listed, o.ServiceLink...), err
}

// secretNames are the secrets to attach. In a list the tool wants an = behind each
// and throws away what follows it.
func (o *Options) secretNames() []string {
	var names []string
	for _, item := range strings.Split(o.Secrets, ",") {
		if name, _, _ := strings.Cut(item, "="); name != "" {
			names = append(names, name)
		}
	}
	return append(names, o.SecretNames...)
}

// pairs joins a list in one text with single pairs, which win.
func pairs(flag, list, separator string, single []Pair) (map[string]string, error) {
	listed, err := split(flag, list, separator)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, p := range append(listed, single...) {
		all[p.Key] = p.Value
	}
	return all, nil
}

// split reads key=value,key=value. An empty text is an empty list: CI passes
// variables that are not set.
func split(flag, list, separator string) ([]Pair, error) {
	if list == "" {
		return nil, nil
	}
	if separator == "" {
		return nil, errors.New("the label separator is empty")
	}
	var all []Pair
	for _, item := range strings.Split(list, separator) {
		key, value, ok := strings.Cut(item, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("%s: %q is not key=value", flag, item)
		}
		all = append(all, Pair{key, value})
	}
	return all, nil
}

// readEnvFile reads variables as docker's --env-file does: KEY=VALUE, KEY alone for
// that of the environment, # for a comment.
func readEnvFile(path string) (map[string]string, error) {
	all := map[string]string{}
	if path == "" {
		return all, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--env-file: %w", err)
	}
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimLeft(strings.TrimSuffix(line, "\r"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, hasValue := strings.Cut(line, "=")
		if key == "" || strings.ContainsAny(key, " \t") {
			return nil, fmt.Errorf("--env-file: %s:%d: a variable is written KEY=VALUE", path, n+1)
		}
		if !hasValue {
			if value, hasValue = os.LookupEnv(key); !hasValue {
				continue
			}
		}
		all[key] = value
	}
	return all, nil
}
