package desired

import (
	"encoding/json"
	"fmt"
	"math"
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

// String is the span as people write it: 10m, not 10m0s.
func (d Duration) String() string {
	s := d.Duration.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
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
	// Rounded, because 0.07*100 is 7.000000000000001.
	return strconv.FormatFloat(math.Round(float64(p)*1e12)/1e10, 'f', -1, 64) + "%"
}

// UnmarshalJSON reads "1%", "0.01" or 0.01.
func (p *Percent) UnmarshalJSON(b []byte) error {
	v, err := parsePercent(strings.Trim(string(b), `"`))
	if err != nil {
		return err
	}
	*p = v
	return nil
}

func parsePercent(s string) (Percent, error) {
	number, isPercent := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a share: write it as in 1%% or 0.01", s)
	}
	if isPercent {
		v /= 100
	}
	if !(v >= 0 && v <= 1) { // Not-a-number fails both.
		return 0, fmt.Errorf("%q is not a share between 0%% and 100%%", s)
	}
	return Percent(v), nil
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
