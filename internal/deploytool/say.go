package deploytool

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Streams are where a call speaks.
type Streams struct {
	Out, Err io.Writer
	// Colour says that Out, or Err where that is spoken to, is a terminal.
	Colour bool
}

// Outcome is how a call ended, for --json.
type Outcome string

// The outcomes. RolledBack and Failed exit 1, the others 0; a
// rollback that was the command exits 0.
const (
	Created    Outcome = "created"
	Started    Outcome = "started"
	Upgraded   Outcome = "upgraded"
	Finished   Outcome = "finished"
	Canceled   Outcome = "canceled"
	Shown      Outcome = "shown"
	RolledBack Outcome = "rolled-back"
	Failed     Outcome = "failed"
)

// Result is what --json prints.
type Result struct {
	Outcome  Outcome `json:"outcome"`
	ExitCode int     `json:"exitCode"`
	// Error says why it failed.
	Error       string `json:"error,omitempty"`
	Environment string `json:"environment,omitempty"`
	// EnvironmentID is such as 1a5, ServiceID such as 1s7.
	EnvironmentID string `json:"environmentId,omitempty"`
	Stack         string `json:"stack,omitempty"`
	Service       string `json:"service,omitempty"`
	ServiceID     string `json:"serviceId,omitempty"`
	// State is Rancher's state of the service when it was last read.
	State string `json:"state,omitempty"`
	// PreviousImage and Image are what ran before, and what was asked for.
	PreviousImage string `json:"previousImage,omitempty"`
	Image         string `json:"image,omitempty"`
	// Version is Rancher's launchConfig.version of the upgrade.
	Version string  `json:"version,omitempty"`
	Seconds float64 `json:"seconds"`
}

// teller prints what goes on.
type teller struct {
	out    io.Writer
	result io.Writer // nil without --json.
	colour bool
	begun  time.Time
}

func newTeller(o *Options, s Streams) *teller {
	t := &teller{out: s.Out, colour: s.Colour, begun: time.Now()}
	if o.JSON || o.Stderr {
		t.out = s.Err
	}
	if o.JSON {
		t.result = s.Out
	}
	return t
}

// The colours of the tool.
const (
	green  = "32"
	yellow = "33"
	red    = "31"
)

// print prints one line. Whoever reads may be gone, which is no reason to stop.
func (t *teller) print(colour, format string, args ...any) {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' ' // Text from elsewhere moves no cursor.
		}
		return r
	}, fmt.Sprintf(format, args...))
	if t.colour {
		text = "\x1b[" + colour + "m" + text + "\x1b[0m"
	}
	fmt.Fprintln(t.out, text)
}

// progress is green, a warning yellow, a failure red with the tool's prefix.
func (t *teller) progress(format string, args ...any) { t.print(green, format, args...) }
func (t *teller) warn(format string, args ...any)     { t.print(yellow, format, args...) }
func (t *teller) fail(err error)                      { t.print(red, "Error: %s", sentence(err.Error())) }

// sentence begins with a capital, as people grep for it.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// end prints the result as JSON when that was asked for.
func (t *teller) end(r *Result) {
	if t.result == nil {
		return
	}
	r.Seconds = time.Since(t.begun).Round(time.Millisecond).Seconds()
	e := json.NewEncoder(t.result)
	e.SetIndent("", "  ")
	_ = e.Encode(r) // As above.
}
