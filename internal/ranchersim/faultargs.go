package ranchersim

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// faultArg is one argument of a fault: what it means and how its text is read.
type faultArg struct {
	name, what string
	set        func(f *Fault, text string) error
}

// The bounds of what can be asked for.
const (
	maxFaultTime  = 24 * time.Hour
	maxFaultCount = 1_000_000
	maxFaultText  = 200
)

var faultArgs = []faultArg{
	{"method", "only requests with this method", func(f *Fault, s string) error { f.Method = strings.ToUpper(s); return nil }},
	{"path", "only requests with this text in path and query", func(f *Fault, s string) error { f.Path = s; return nil }},
	{"action", "only requests for this action; of hidden-action, the action", func(f *Fault, s string) error { f.Action = s; return nil }},
	{"key", "only requests of this access key", func(f *Fault, s string) error { f.Key = s; return nil }},
	{"service", "only this service: stack/name, or an id such as 1s7", func(f *Fault, s string) error { f.Service = s; return nil }},
	{"skip", "how many occasions are spared first", func(f *Fault, s string) error { return setCount(&f.Skip, s) }},
	{"count", "how often it happens; 0 is always", func(f *Fault, s string) error { return setCount(&f.Count, s) }},
	{"chance", "probability each time, such as 0.2 or 20%; by the seed", setChance},
	{"for", "how long it lasts, such as 30s", func(f *Fault, s string) error { return setTime(&f.For, s) }},
	{"delay", "how late an answer is, such as 3s", func(f *Fault, s string) error { return setTime(&f.Delay, s) }},
	{"applied", "true: the request is done before it is answered so", func(f *Fault, s string) error { return setBool(&f.Applied, s) }},
	{"code", "code of the error's body", func(f *Fault, s string) error { f.Code = s; return nil }},
	{"field", "fieldName of the error's body", func(f *Fault, s string) error { f.Field = s; return nil }},
	{"page", "true: a proxy's page instead of Rancher's error body", func(f *Fault, s string) error { return setBool(&f.Page, s) }},
	{"size", "things on a page", func(f *Fault, s string) error { return setCount(&f.Size, s) }},
	{"state", "the state that is shown", func(f *Fault, s string) error { f.State = s; return nil }},
	{"host", "id of the host, such as 1h1", func(f *Fault, s string) error { f.Host = s; return nil }},
	{"by", "how far the clock is off, such as 3h or -3h", setSkew},
	{"now", "true: at once", func(f *Fault, s string) error { return setBool(&f.Now, s) }},
}

// FaultArg describes an argument.
type FaultArg struct {
	Name string `json:"name"`
	What string `json:"what"`
}

// FaultArgs are all arguments, in the order of the documentation.
func FaultArgs() []FaultArg {
	list := make([]FaultArg, len(faultArgs))
	for n, a := range faultArgs {
		list[n] = FaultArg{a.name, a.what}
	}
	return list
}

// ParseFault reads NAME or NAME=ARG=VALUE,ARG=VALUE.
func ParseFault(s string) (Fault, error) {
	name, rest, hasArgs := strings.Cut(s, "=")
	args := map[string]string{}
	if hasArgs {
		for _, part := range strings.Split(rest, ",") {
			arg, value, ok := strings.Cut(part, "=")
			if !ok || arg == "" {
				return Fault{}, fmt.Errorf("fault %q: %q is not ARG=VALUE", name, part)
			}
			if _, twice := args[arg]; twice {
				return Fault{}, fmt.Errorf("fault %q: %s is given twice", name, arg)
			}
			args[arg] = value
		}
	}
	return NewFault(name, args)
}

// NewFault makes a fault of a name and its arguments' texts.
func NewFault(name string, args map[string]string) (Fault, error) {
	kind, ok := faultKind(name)
	if !ok {
		return Fault{}, unknownFault(name)
	}
	f := Fault{Name: name}
	for _, arg := range sortedKeys(args) {
		n := slices.IndexFunc(faultArgs, func(a faultArg) bool { return a.name == arg })
		if n < 0 || !slices.Contains(kind.Args, arg) {
			return Fault{}, fmt.Errorf("fault %q takes no %q; it takes %s", name, arg, strings.Join(kind.Args, ", "))
		}
		if len(args[arg]) > maxFaultText {
			return Fault{}, fmt.Errorf("fault %q: %s is longer than %d characters", name, arg, maxFaultText)
		}
		if err := faultArgs[n].set(&f, args[arg]); err != nil {
			return Fault{}, fmt.Errorf("fault %q: %s=%s: %w", name, arg, args[arg], err)
		}
	}
	return f.withDefaults(), nil
}

func unknownFault(name string) error {
	return fmt.Errorf("unknown fault %q, known are %s", name, strings.Join(FaultNames(), ", "))
}

// withDefaults fills in what a fault cannot do without.
func (f Fault) withDefaults() Fault {
	set := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	switch f.Name {
	case FaultLate:
		if f.Delay == 0 {
			f.Delay = 10 * time.Second
		}
	case Fault422:
		set(&f.Code, "InvalidOption")
		set(&f.Field, "launchConfig")
	case Fault502:
		f.Page = true
	case FaultShortPages:
		if f.Size == 0 {
			f.Size = defaultLimit
		}
	case FaultUnknownState:
		set(&f.State, "pondering")
	case FaultHiddenAction:
		set(&f.Action, "upgrade")
	case FaultRestart:
		if f.Count == 0 {
			f.Count = 1
		}
		if f.For == 0 {
			f.For = 10 * time.Second
		}
	}
	return f
}

// args are the arguments as they would be written, for display.
func (f Fault) args() map[string]string {
	out := map[string]string{}
	put := func(name, value string, isSet bool) {
		if isSet {
			out[name] = value
		}
	}
	for name, value := range map[string]string{
		"method": f.Method, "path": f.Path, "action": f.Action, "key": f.Key, "service": f.Service, "code": f.Code, "field": f.Field,
		"state": f.State, "host": f.Host,
	} {
		put(name, value, value != "")
	}
	for name, value := range map[string]int{"skip": f.Skip, "count": f.Count, "size": f.Size} {
		put(name, strconv.Itoa(value), value != 0)
	}
	for name, value := range map[string]time.Duration{"for": f.For, "delay": f.Delay, "by": f.By} {
		put(name, value.String(), value != 0)
	}
	for name, value := range map[string]bool{"applied": f.Applied, "page": f.Page, "now": f.Now} {
		put(name, "true", value)
	}
	put("chance", strconv.FormatFloat(f.Chance, 'g', -1, 64), f.Chance != 0)
	return out
}

func setCount(n *int, s string) error {
	v, err := strconv.Atoi(s)
	if err != nil || v < 0 || v > maxFaultCount {
		return fmt.Errorf("a whole number from 0 to %d is wanted", maxFaultCount)
	}
	*n = v
	return nil
}

func setTime(d *time.Duration, s string) error {
	v, err := time.ParseDuration(s)
	if err != nil || v <= 0 || v > maxFaultTime {
		return fmt.Errorf("a time above 0 and up to %s is wanted, such as 3s", maxFaultTime)
	}
	*d = v
	return nil
}

func setSkew(f *Fault, s string) error {
	v, err := time.ParseDuration(s)
	if err != nil || v.Abs() > 366*24*time.Hour {
		return errors.New("a time of at most a year is wanted, such as 3h or -3h")
	}
	f.By = v
	return nil
}

func setBool(b *bool, s string) error {
	v, err := strconv.ParseBool(s)
	if err != nil {
		return errors.New("true or false is wanted")
	}
	*b = v
	return nil
}

func setChance(f *Fault, s string) error {
	number, isPercent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(number, 64)
	if isPercent {
		v /= 100
	}
	if err != nil || !(v > 0 && v <= 1) {
		return errors.New("a probability above 0 and up to 1 is wanted, such as 0.2 or 20%")
	}
	f.Chance = v
	return nil
}

// status is the HTTP status of the faults that are named after one.
func (f Fault) status() int {
	n, err := strconv.Atoi(f.Name)
	if err != nil || http.StatusText(n) == "" {
		return 0
	}
	return n
}
