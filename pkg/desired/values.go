package desired

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span written as 30s, 5m or 1h30m.
type Duration struct {
	time.Duration
}

// Seconds makes a Duration, for tests and defaults.
func Seconds(n float64) Duration {
	return Duration{time.Duration(n * float64(time.Second))}
}

// MarshalJSON writes the span as a string.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(d.String())
}

// UnmarshalJSON reads a span; a bare number is refused, because its unit would
// be a guess.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("%s is not a duration: write it with its unit, as in 30s or 5m", b)
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is not a duration: write it as in 30s, 5m or 1h30m", s)
	}
	d.Duration = v
	return nil
}

// IsZero says that no span was given.
func (d Duration) IsZero() bool { return d.Duration == 0 }

// Percent is a share between 0 and 1, written as 1% or 0.01.
type Percent float64

// MarshalJSON writes the share with its sign.
func (p Percent) MarshalJSON() ([]byte, error) {
	return json.Marshal(p.String())
}

// String is the share as people write it: 1%, 0.5%.
func (p Percent) String() string {
	return strconv.FormatFloat(float64(p)*100, 'f', -1, 32) + "%"
}

// UnmarshalJSON reads 1%, "0.01" or 0.01.
func (p *Percent) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	number, isPercent := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil {
		return fmt.Errorf("%q is not a share: write it as in 1%% or 0.01", s)
	}
	if isPercent {
		v /= 100
	}
	if !(v >= 0 && v <= 1) {
		return fmt.Errorf("%q is not a share between 0%% and 100%%", s)
	}
	*p = Percent(v)
	return nil
}

// URLs is one URL or a list of them.
type URLs []string

// UnmarshalJSON reads a string or a list of strings.
func (u *URLs) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*u = URLs{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(b, &many); err != nil {
		return fmt.Errorf("must be a URL or a list of URLs")
	}
	*u = many
	return nil
}

// Secret says where a secret is found; it never holds the secret itself.
type Secret struct {
	// Env is the name of an environment variable.
	Env string `json:"env,omitempty"`
	// File is a path; one trailing newline is trimmed, and the file is read again
	// when it changes.
	File string `json:"file,omitempty"`
}

// IsZero says that no place is named.
func (s Secret) IsZero() bool { return s.Env == "" && s.File == "" }

// String names the place, never the secret.
func (s Secret) String() string {
	switch {
	case s.Env != "":
		return "env:" + s.Env
	case s.File != "":
		return "file:" + s.File
	}
	return "none"
}
