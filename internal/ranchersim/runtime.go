package ranchersim

import (
	"context"
	"time"
)

// Runtime runs containers: the sandbox's are small HTTP servers on loopback addresses; tests use a fake.
type Runtime interface {
	// Pull fetches an image by the reference a launch configuration names (without docker:).
	// It returns the image configuration's digest, which is what Docker calls the image id.
	// The error's text is shown to clients as the agent's own words.
	Pull(ctx context.Context, image string) (imageID string, err error)
	// Start starts a container; it returns when the process runs.
	Start(ctx context.Context, c ContainerSpec) (Process, error)
}

// ContainerSpec is what a Runtime is told about a container.
type ContainerSpec struct {
	ID      string // Rancher's id, such as 1i17.
	Name    string // stack-service-index; an old and a new container share it during an upgrade.
	Image   string // The reference as asked for, without docker:.
	ImageID string // What Pull returned for it.

	Environment map[string]string
	Labels      map[string]string

	Ports   []int  // Private ports the container is expected to serve: ports, expose and the health check's, ascending.
	Restart bool   // The same container is started again rather than created.
	IP      string // The address it had before, to be kept when it is restarted; "" leaves the choice to the Runtime.
}

// Process is a started container.
type Process interface {
	// IP is the container's own address.
	IP() string
	// Check answers Rancher's health check now: TCP connect without a request line, otherwise HTTP with a status of 2xx or 3xx.
	Check(ctx context.Context, hc HealthCheck) bool
	// Exited is closed when the process ended by itself.
	Exited() <-chan struct{}
	// Logs streams the container's output; it stays readable after the end.
	Logs() LogSource
	// Stop ends the process and returns when it is gone.
	Stop(ctx context.Context) error
}

// HealthCheck is the part of launchConfig.healthCheck that one check needs.
type HealthCheck struct {
	Port        int
	RequestLine string        // Such as `GET "/healthz" "HTTP/1.0"`; "" is a TCP connect.
	Timeout     time.Duration // responseTimeout, never 0.
}

// LogLine is one line of a container's output.
type LogLine struct {
	Time   time.Time
	Stream int    // 1 is stdout, 2 stderr; 0 is a TTY.
	Text   string // Without the line end.
}

// LogSource is an append-only list of lines with a way to wait for more.
type LogSource interface {
	// Lines returns what is kept from index from on and the index to ask with next time. Changed is closed when there
	// is more to read or the stream ends; ended tells that nothing will be added until the container is started again.
	Lines(from int) (lines []LogLine, next int, changed <-chan struct{}, ended bool)
}
