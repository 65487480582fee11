package logs

import (
	"context"
	"time"
)

// Source is what the package needs of Rancher.
type Source interface {
	Opener
	StateReader
}

// Opener asks Rancher for a log stream: the logs action of a container.
type Opener interface {
	// OpenLogs returns the websocket's URL, token included. It is valid for about
	// five minutes and must not be logged.
	OpenLogs(ctx context.Context, containerID string, o Options) (url string, err error)
}

// StateReader says what became of a container when its stream ended.
type StateReader interface {
	// ContainerState is Rancher's own word for the container's state, "removed"
	// when there is no such container. An error means that it could not be asked.
	ContainerState(ctx context.Context, containerID string) (string, error)
}

// Options are the input of the logs action (cattle, ContainerLogs.java).
type Options struct {
	// Follow keeps the stream open for what comes.
	Follow bool
	// Lines is how many lines of history come first; 0 means none.
	Lines int
	// Timestamps puts Docker's time before each line.
	Timestamps bool
	// Since leaves out what is older: seconds.nanoseconds of Unix time, or empty.
	Since string
}

// AllLines as a tail means everything the container ever wrote. Docker reads its
// log backwards until it has that many, so the number may be large.
const AllLines = 10_000_000

// Version says on which side of a rollout a container is.
type Version string

const (
	// VersionUnknown is a container outside of any rollout.
	VersionUnknown Version = ""
	// VersionOld runs what ran before the rollout.
	VersionOld Version = "old"
	// VersionNew runs what the rollout brings.
	VersionNew Version = "new"
)

// Output says where a container wrote a line.
type Output uint8

const (
	// OutputUnknown is a terminal's, or one whose mark got lost on the way.
	OutputUnknown Output = iota
	// OutputStdout is standard output.
	OutputStdout
	// OutputStderr is standard error.
	OutputStderr
)

// String returns stdout, stderr or unknown.
func (o Output) String() string {
	switch o {
	case OutputStdout:
		return "stdout"
	case OutputStderr:
		return "stderr"
	default:
		return "unknown"
	}
}

// MarshalText makes JSON show the name.
func (o Output) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads the name; one that is not known is unknown.
func (o *Output) UnmarshalText(text []byte) error {
	*o = OutputUnknown
	for _, known := range []Output{OutputStdout, OutputStderr} {
		if string(text) == known.String() {
			*o = known
		}
	}
	return nil
}

// Container is one to follow.
type Container struct {
	// ID is Rancher's id, such as 1i23.
	ID string
	// Name is for display.
	Name string
	// Service is the service it belongs to, as stack/service.
	Service string
	// Version is the side of the rollout.
	Version Version
	// Tail is how many lines of history to begin with, or AllLines. At least one
	// is asked for: it is the point from which a cut stream is resumed.
	Tail int
	// Since leaves out the history before it; zero leaves out none.
	Since time.Time
	// State is Rancher's state of it, empty when unknown: a change makes a stream
	// that waits try again at once.
	State string
}

// Line is one line of a container.
type Line struct {
	// Container is the id, Name the name.
	Container string `json:"container"`
	Name      string `json:"name,omitempty"`
	// Service is stack/service.
	Service string `json:"service,omitempty"`
	// Version is the side of the rollout.
	Version Version `json:"version,omitempty"`
	// Output is stdout, stderr or unknown.
	Output Output `json:"stream"`
	// Time is the host's clock when Docker read the line; zero when unknown.
	Time time.Time `json:"time,omitzero"`
	// Text is the line without its end, valid UTF-8, bounded by MaxText. It may
	// hold control characters: what shows it must care.
	Text string `json:"text"`
	// Truncated says that the line was longer.
	Truncated bool `json:"truncated,omitempty"`
	// Dropped above zero makes this no line but a notice: so many lines of the
	// container were dropped here because nobody read fast enough.
	Dropped int64 `json:"dropped,omitempty"`
}
