package rancher

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Creating is what a client may do that was made with MayCreate, which is the
// face of rancher-gitlab-deploy alone.

// NewService is a service to be created: one container, started at once.
type NewService struct {
	// Stack is where it goes.
	Stack Named
	// Name is the service's.
	Name string
	// Image is the reference, with or without docker: before it.
	Image string
	// Labels and Environment are those of the launch configuration.
	Labels, Environment map[string]string
	// Secrets are mounted under their names.
	Secrets []Named
	// HostID, when not empty, is the only host it may run on.
	HostID string
}

// ServiceLink makes a service known to another under a name.
type ServiceLink struct {
	Name      string `json:"name"`
	ServiceID string `json:"serviceId"`
}

// CreateStack creates an empty stack.
func (c *Client) CreateStack(ctx context.Context, name string) (Named, error) {
	op := "creating stack " + clip(name)
	var w wireStack
	if err := c.create(ctx, op, "/stacks", map[string]string{"name": name}, &w); err != nil {
		return Named{}, err
	}
	if !isID(w.ID, "1st") || w.Name != name {
		return Named{}, &Error{Op: op, Status: http.StatusCreated, Code: CodeMismatch, unknown: true, Message: "the answer is about " + clip(w.Type+" "+w.ID)}
	}
	c.learnStack(w.ID, w.Name)
	return Named{w.ID, w.Name}, nil
}

// CreateService creates a service. It does not wait for it to run.
func (c *Client) CreateService(ctx context.Context, s NewService) (observe.Service, error) {
	op := "creating service " + clip(s.Name)
	if !newImage.MatchString(imageUUID(s.Image)) {
		return observe.Service{}, &UnsafeError{Op: op, Reason: "image " + clip(s.Image) + " is no image reference"}
	}
	at := time.Now()
	var w wireService
	if err := c.create(ctx, op, "/services", s.body(), &w); err != nil {
		return observe.Service{}, err
	}
	if !w.isService() || w.Name != s.Name {
		return observe.Service{}, &Error{Op: op, Status: http.StatusCreated, Code: CodeMismatch, unknown: true, Message: "the answer is about " + clip(w.Type+" "+w.ID)}
	}
	c.grants.learnService(w.ID, Key{Stack: s.Stack.Name, Service: w.Name})
	return c.answered(ctx, &w, at), nil
}

// SetServiceLinks replaces the links of an allowed service.
func (c *Client) SetServiceLinks(ctx context.Context, id string, links []ServiceLink) error {
	op := "setting the links of service " + clip(id)
	body, err := json.Marshal(map[string][]ServiceLink{"serviceLinks": links})
	if err != nil {
		return &Error{Op: op, err: err}
	}
	_, err = c.act(ctx, op, id, actionSetLinks, body)
	return err
}

// newImage is an image that may be asked for: a reference, and a digest that is
// one. Rancher takes a malformed digest without a word (rancher-api 14.2).
var newImage = regexp.MustCompile(`^docker:[a-zA-Z0-9][a-zA-Z0-9._:/-]{0,400}(@sha256:[0-9a-f]{64})?$`)

// IsImage says whether a reference may be asked for.
func IsImage(ref string) bool { return newImage.MatchString(imageUUID(ref)) }

// body is the request that creates the service.
func (s *NewService) body() any {
	type secret struct {
		Type     string `json:"type"`
		Name     string `json:"name"`
		SecretID string `json:"secretId"`
	}
	type launchConfig struct {
		ImageUUID       string            `json:"imageUuid"`
		Labels          map[string]string `json:"labels"`
		Environment     map[string]string `json:"environment"`
		Secrets         []secret          `json:"secrets"`
		RequestedHostID string            `json:"requestedHostId,omitempty"`
	}
	launch := launchConfig{
		ImageUUID: imageUUID(s.Image), Labels: orNone(s.Labels), Environment: orNone(s.Environment),
		Secrets: []secret{}, RequestedHostID: s.HostID,
	}
	for _, one := range s.Secrets {
		launch.Secrets = append(launch.Secrets, secret{"secretReference", one.Name, one.ID})
	}
	return struct {
		Name          string       `json:"name"`
		StackID       string       `json:"stackId"`
		StartOnCreate bool         `json:"startOnCreate"`
		LaunchConfig  launchConfig `json:"launchConfig"`
	}{s.Name, s.Stack.ID, true, launch}
}

// orNone is an empty map in place of nil, which would be null in JSON.
func orNone(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// create sends what creates something, once, and reads the answer.
func (c *Client) create(ctx context.Context, op, path string, what, answer any) error {
	u, err := c.scope(ctx, path, url.Values{})
	if err != nil {
		return err
	}
	body, err := json.Marshal(what)
	if err != nil {
		return &Error{Op: op, err: err}
	}
	return c.once(ctx, op, http.MethodPost, u, body, func(r io.Reader) error { return decode(op, r, answer) })
}
