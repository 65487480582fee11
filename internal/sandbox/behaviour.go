package sandbox

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// BehaviourLabel is the label of an image configuration that says how its containers behave.
const BehaviourLabel = "io.drover.sandbox"

// Bounds of what a label may ask for: it comes from whoever can push an image.
const (
	maxBehaviour   = 1024
	maxLogText     = 512
	maxLogRate     = 10_000
	maxLatency     = time.Minute
	maxDelay       = time.Hour
	million        = 1_000_000
	behaviourWords = "serve, errors=20%, not-found=20%, empty=20%, resets=20%, latency=300ms, start-delay=5s, " +
		"never-healthy, unhealthy-after=10s, flapping=3s, crash, crash-after=10s, refuse, refuse-after=10s, log=TEXT, log-rate=100"
)

// Behaviour is what a container of an image does. The zero value serves every request.
type Behaviour struct {
	// Errors is how many of a million requests are answered with 500, spread evenly. Health checks stay green.
	Errors int
	// NotFound, Empty and Resets are as many that are answered with 404, closed
	// without an answer, and reset.
	NotFound, Empty, Resets int
	// Latency is added to every request but health checks.
	Latency time.Duration
	// StartDelay is the time until the container listens.
	StartDelay time.Duration
	// NeverHealthy answers health checks with 503 from the start, UnhealthyAfter from that age on.
	NeverHealthy   bool
	UnhealthyAfter time.Duration
	// Flapping answers health checks with 200 for as long, then as long with 503,
	// and so on.
	Flapping time.Duration
	// Crash ends the process right after its start, CrashAfter at that age; open requests are cut.
	Crash      bool
	CrashAfter time.Duration
	// Refuse never listens, so connections are refused; RefuseAfter stops listening
	// at that age.
	Refuse      bool
	RefuseAfter time.Duration
	// Log is a line written once listening, or again and again with LogRate.
	Log string
	// LogRate is how many further lines are written each second.
	LogRate int
}

// word is one behaviour: its name in the label and what its value does.
type word struct {
	name string
	// set reads the value; nil takes none.
	set func(b *Behaviour, value string) error
	// flag sets a behaviour without a value.
	flag func(b *Behaviour)
	// show is the behaviour as it stands in a label, "" when it is not there.
	show func(b Behaviour) string
}

// words are all behaviours, in the order String writes them.
var words = []word{
	{name: "serve", flag: func(*Behaviour) {}, show: func(Behaviour) string { return "" }},
	share("errors", func(b *Behaviour) *int { return &b.Errors }),
	share("not-found", func(b *Behaviour) *int { return &b.NotFound }),
	share("empty", func(b *Behaviour) *int { return &b.Empty }),
	share("resets", func(b *Behaviour) *int { return &b.Resets }),
	duration("latency", maxLatency, func(b *Behaviour) *time.Duration { return &b.Latency }),
	duration("start-delay", maxDelay, func(b *Behaviour) *time.Duration { return &b.StartDelay }),
	flag("never-healthy", func(b *Behaviour) *bool { return &b.NeverHealthy }),
	duration("unhealthy-after", maxDelay, func(b *Behaviour) *time.Duration { return &b.UnhealthyAfter }),
	duration("flapping", maxDelay, func(b *Behaviour) *time.Duration { return &b.Flapping }),
	flag("crash", func(b *Behaviour) *bool { return &b.Crash }),
	duration("crash-after", maxDelay, func(b *Behaviour) *time.Duration { return &b.CrashAfter }),
	flag("refuse", func(b *Behaviour) *bool { return &b.Refuse }),
	duration("refuse-after", maxDelay, func(b *Behaviour) *time.Duration { return &b.RefuseAfter }),
	{
		name: "log",
		set:  func(b *Behaviour, v string) (err error) { b.Log, err = parseText(v); return err },
		show: func(b Behaviour) string { return showIf(b.Log != "", "log="+b.Log) },
	},
	{
		name: "log-rate",
		set:  func(b *Behaviour, v string) (err error) { b.LogRate, err = parseRate(v); return err },
		show: func(b Behaviour) string { return showIf(b.LogRate > 0, "log-rate="+strconv.Itoa(b.LogRate)) },
	},
}

// excluding are pairs of which a label may hold only one.
var excluding = [][2]string{
	{"never-healthy", "unhealthy-after"},
	{"never-healthy", "flapping"},
	{"unhealthy-after", "flapping"},
	{"crash", "crash-after"},
	{"refuse", "refuse-after"},
}

// ParseBehaviour reads the label's value: behaviours separated by commas. An empty value serves.
func ParseBehaviour(label string) (Behaviour, error) {
	var b Behaviour
	if len(label) > maxBehaviour {
		return b, fmt.Errorf("label %s is longer than %d bytes", BehaviourLabel, maxBehaviour)
	}
	if strings.TrimSpace(label) == "" {
		return b, nil
	}
	var seen []string
	for item := range strings.SplitSeq(label, ",") {
		name, err := b.apply(strings.TrimSpace(item), seen)
		if err != nil {
			return Behaviour{}, fmt.Errorf("label %s: %w", BehaviourLabel, err)
		}
		seen = append(seen, name)
	}
	return b, nil
}

// apply adds one item of the label and returns its name.
func (b *Behaviour) apply(item string, seen []string) (string, error) {
	name, value, hasValue := strings.Cut(item, "=")
	i := slices.IndexFunc(words, func(w word) bool { return w.name == name })
	switch {
	case i < 0:
		return "", fmt.Errorf("unknown behaviour %q: known are %s", name, behaviourWords)
	case slices.Contains(seen, name):
		return "", fmt.Errorf("%s is there twice", name)
	case words[i].set == nil && hasValue:
		return "", fmt.Errorf("%s takes no value", name)
	case words[i].set != nil && !hasValue:
		return "", fmt.Errorf("%s needs a value, as in %s", name, behaviourWords)
	}
	for _, pair := range excluding {
		if name == pair[0] && slices.Contains(seen, pair[1]) || name == pair[1] && slices.Contains(seen, pair[0]) {
			return "", fmt.Errorf("%s and %s exclude each other", pair[0], pair[1])
		}
	}
	if words[i].set == nil {
		words[i].flag(b)
		return name, nil
	}
	if err := words[i].set(b, value); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return name, nil
}

// String is the label's value that says the same; a container that only serves is "serve".
func (b Behaviour) String() string {
	var items []string
	for _, w := range words {
		if s := w.show(b); s != "" {
			items = append(items, s)
		}
	}
	if len(items) == 0 {
		return "serve"
	}
	return strings.Join(items, ",")
}

// isHealthy says what a health check finds at an age.
func (b Behaviour) isHealthy(age time.Duration) bool {
	isUp := b.Flapping == 0 || age/b.Flapping%2 == 0
	return isUp && !b.NeverHealthy && (b.UnhealthyAfter == 0 || age < b.UnhealthyAfter)
}

func flag(name string, field func(*Behaviour) *bool) word {
	return word{
		name: name,
		flag: func(b *Behaviour) { *field(b) = true },
		show: func(b Behaviour) string { return showIf(*field(&b), name) },
	}
}

func share(name string, field func(*Behaviour) *int) word {
	return word{
		name: name,
		set:  func(b *Behaviour, v string) (err error) { *field(b), err = parseShare(v); return err },
		show: func(b Behaviour) string { return showIf(*field(&b) > 0, name+"="+formatShare(*field(&b))) },
	}
}

func duration(name string, most time.Duration, field func(*Behaviour) *time.Duration) word {
	return word{
		name: name,
		set:  func(b *Behaviour, v string) (err error) { *field(b), err = parseDelay(v, most); return err },
		show: func(b Behaviour) string { return showIf(*field(&b) > 0, name+"="+field(&b).String()) },
	}
}

func showIf(ok bool, s string) string {
	if !ok {
		return ""
	}
	return s
}

func parseDelay(v string, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil {
		return 0, fmt.Errorf("%q is not a time span: write it as in 300ms or 10s", v)
	}
	if d <= 0 || d > most {
		return 0, fmt.Errorf("%s is not between 0 and %s", v, most)
	}
	return d, nil
}

// parseShare reads 20% or 0.5% into requests per million, exactly: a binary fraction would drift over many requests.
func parseShare(v string) (int, error) {
	digits, ok := strings.CutSuffix(v, "%")
	if !ok || digits == "" || len(digits) > 8 || strings.Trim(digits, "0123456789.") != "" {
		return 0, fmt.Errorf("%q is not a share: write it as in 20%% or 0.5%%", v)
	}
	share, ok := new(big.Rat).SetString(digits)
	if !ok {
		return 0, fmt.Errorf("%q is not a share: write it as in 20%% or 0.5%%", v)
	}
	share.Mul(share, big.NewRat(million/100, 1))
	if !share.IsInt() || share.Sign() <= 0 || share.Cmp(big.NewRat(million, 1)) > 0 {
		return 0, fmt.Errorf("%s is not between 0.0001%% and 100%% in steps of 0.0001%%", v)
	}
	return int(share.Num().Int64()), nil
}

// formatShare writes requests per million as a percentage.
func formatShare(perMillion int) string {
	return strconv.FormatFloat(float64(perMillion)/(million/100), 'f', -1, 64) + "%"
}

func parseText(v string) (string, error) {
	v = strings.TrimSpace(v)
	switch {
	case v == "":
		return "", fmt.Errorf("the text is empty")
	case len(v) > maxLogText:
		return "", fmt.Errorf("the text is longer than %d bytes", maxLogText)
	case !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl):
		return "", fmt.Errorf("the text is not one printable line")
	}
	return v, nil
}

func parseRate(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > maxLogRate {
		return 0, fmt.Errorf("%q is not a number of lines a second between 1 and %d", v, maxLogRate)
	}
	return n, nil
}
