package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// dockerHost is a host with Docker as far as a recording shows it: which images it could not pull, and in what words.
type dockerHost struct {
	failures map[string]string // By reference.
	one      chan struct{}
}

// runtimeOf is the kind of host that a recording was made with; nil is Cattle's own simulator.
func runtimeOf(lines []line) ranchersim.Runtime {
	host := dockerHost{failures: map[string]string{}, one: make(chan struct{}, 1)}
	isReal := false
	for _, l := range lines {
		isReal = isReal || l.Sample > 0 || l.Message != nil
		for _, root := range []any{l.Response, any(l.Instances)} {
			host.learn(root)
		}
	}
	if !isReal {
		return nil
	}
	return host
}

// imageID is what Docker calls an image.
var imageID = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// agentError is how Rancher tells of Docker's own errors.
var agentError = regexp.MustCompile(`^Error response from daemon: `)

// learn takes note of containers that could not be started.
func (d dockerHost) learn(v any) {
	text, err := json.Marshal(v)
	if err != nil {
		return
	}
	var plain any
	if json.Unmarshal(text, &plain) != nil {
		return
	}
	find(plain, func(m map[string]any) bool {
		image, _ := m["imageUuid"].(string)
		message, _ := m["transitioningMessage"].(string)
		if image != "" && agentError.MatchString(message) {
			d.failures[strings.TrimPrefix(image, "docker:")] = message
		}
		return false
	})
}

// Pull fails as it was recorded to.
func (d dockerHost) Pull(_ context.Context, image string) (string, error) {
	if message, ok := d.failures[image]; ok {
		return "", errors.New(message)
	}
	return fmt.Sprintf("sha256:%064x", len(image)+1), nil
}

// Start starts nothing: health is reported from outside. Docker starts containers one by one.
func (d dockerHost) Start(context.Context, ranchersim.ContainerSpec) (ranchersim.Process, error) {
	d.one <- struct{}{}
	time.Sleep(dockerStart)
	<-d.one
	return nil, nil
}

// dockerStart is how long that takes.
const dockerStart = 150 * time.Millisecond
