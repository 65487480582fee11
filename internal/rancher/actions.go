package rancher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Upgrade sends a prepared upgrade, once. The service it returns is Rancher's
// answer; its Launch.Version is the new one. An error that is Unknown calls for a
// read: the upgrade may be under way.
func (c *Client) Upgrade(ctx context.Context, p *Prepared) (observe.Service, error) {
	op := "upgrading service " + clip(p.ServiceID)
	if err := checkBody(op, p.Body, p.rules); err != nil {
		return observe.Service{}, err
	}
	s, err := c.act(ctx, op, p.ServiceID, actionUpgrade, p.Body)
	if err != nil {
		return s, err
	}
	// Two upgrades at once are both accepted and one wins (rancher-api 3.2).
	if imageUUID(s.Launch.Image) != p.image || s.Launch.Version == p.version {
		return s, &Error{
			Op: op, Status: http.StatusAccepted, Code: CodeMismatch, unknown: true,
			Message: fmt.Sprintf("rancher answered with image %s, version %s", clip(s.Launch.Image), clip(s.Launch.Version)),
		}
	}
	return s, nil
}

// FinishUpgrade deletes the old containers of an upgraded service, after a look
// that it is upgraded and still of the expected version. It is the point of no
// return for Rancher's rollback.
func (c *Client) FinishUpgrade(ctx context.Context, id, expectVersion string) (observe.Service, error) {
	op := "finishing the upgrade of service " + clip(id)
	s, _, err := c.rawServiceByID(ctx, op, id)
	if err != nil {
		return observe.Service{}, err
	}
	version := ""
	if s.LaunchConfig != nil {
		version = s.LaunchConfig.Version
	}
	switch {
	case s.State != string(observe.StateUpgraded) || s.Actions[actionFinish] == nil:
		return observe.Service{}, &Error{Op: op, Code: CodeChanged, Message: "the service is " + clip(s.State)}
	case expectVersion == "" || version != expectVersion:
		return observe.Service{}, &Error{
			Op: op, Code: CodeChanged,
			Message: fmt.Sprintf("its version is %s, not %s", clip(version), clip(expectVersion)),
		}
	}
	return c.act(ctx, op, id, actionFinish, nil)
}

// Rollback takes an upgrade back. It goes through /services also for a load
// balancer, whose own address would keep the new launch configuration
// (rancher-api 3.8, rancher/rancher#10382).
func (c *Client) Rollback(ctx context.Context, id string) (observe.Service, error) {
	return c.act(ctx, "rolling back service "+clip(id), id, actionRollback, nil)
}

// CancelUpgrade stops an upgrade, or a finish that hangs, where it is.
func (c *Client) CancelUpgrade(ctx context.Context, id string) (observe.Service, error) {
	return c.act(ctx, "canceling the upgrade of service "+clip(id), id, actionCancel, nil)
}

// act sends an action on a service and reads the answer, which is the service.
func (c *Client) act(ctx context.Context, op, id, action string, body []byte) (observe.Service, error) {
	if !isID(id, "1s") {
		return observe.Service{}, &Error{Op: op, Code: CodeMismatch, Message: "that is no id of a service"}
	}
	if err := c.identify(ctx, op, id); err != nil {
		return observe.Service{}, err
	}
	u, err := c.scope(ctx, "/services/"+id+"/", url.Values{"action": {action}})
	if err != nil {
		return observe.Service{}, err
	}
	at := time.Now()
	var w wireService
	err = c.once(ctx, op, http.MethodPost, u, body, func(r io.Reader) error { return decode(op, r, &w) })
	if err != nil {
		return observe.Service{}, err
	}
	if w.ID != id || !w.isService() {
		return observe.Service{}, &Error{
			Op: op, Status: http.StatusAccepted, Code: CodeMismatch, unknown: true,
			Message: "the answer is about " + clip(w.Type+" "+w.ID),
		}
	}
	return c.answered(ctx, &w, at), nil
}

// identify makes sure that the guard knows which service an id is. A process that
// was restarted knows ids from its journal only.
func (c *Client) identify(ctx context.Context, op, id string) error {
	if c.grants.knowsService(id) {
		return nil
	}
	_, _, err := c.rawServiceByID(ctx, op, id)
	return err
}

// answered is the view of a service that an action returned. Containers are not
// part of such an answer.
func (c *Client) answered(ctx context.Context, w *wireService, at time.Time) observe.Service {
	c.mu.Lock()
	stack := c.stackNames[w.StackID]
	c.mu.Unlock()
	kind, _ := c.kind.Load().(string)
	v := w.view(stack, at, kind == "environment")
	v.ContainersProblem = &observe.Problem{Cause: observe.CausePending, Message: "not part of an action's answer"}
	return v
}

// LogOptions say which lines of a container's log are wanted.
type LogOptions struct {
	// Follow keeps the stream open.
	Follow bool
	// Lines is how many past lines come first; 0 means none.
	Lines int
	// Timestamps puts Docker's time before each line.
	Timestamps bool
	// Since leaves out what is older; seconds.nanoseconds resumes exactly
	// (rancher-api 15.7).
	Since string
}

// Logs asks Rancher for a container's log stream. It returns the websocket's
// address without the token, and the token, which must not be logged: it opens the
// stream without any key.
func (c *Client) Logs(ctx context.Context, containerID string, o LogOptions) (address, token string, err error) {
	op := "asking for the logs of container " + clip(containerID)
	if err := c.identifyContainer(ctx, op, containerID); err != nil {
		return "", "", err
	}
	u, err := c.scope(ctx, "/containers/"+containerID+"/", url.Values{"action": {actionLogs}})
	if err != nil {
		return "", "", err
	}
	body, err := json.Marshal(map[string]any{
		"follow": o.Follow, "lines": max(o.Lines, 0), "timestamps": o.Timestamps, "since": o.Since,
	})
	if err != nil {
		return "", "", &Error{Op: op, err: err}
	}
	var answer struct {
		Type  string `json:"type"`
		Token string `json:"token"`
		URL   string `json:"url"`
	}
	err = c.once(ctx, op, http.MethodPost, u, body, func(r io.Reader) error { return decode(op, r, &answer) })
	if err != nil {
		// Nothing changes when this is asked twice, so nothing is unknown.
		return "", "", known(err)
	}
	stream, err := c.streamURL(answer.URL)
	if err != nil || answer.Type != "hostAccess" || answer.Token == "" {
		return "", "", &Error{Op: op, Status: http.StatusOK, Code: CodeMismatch, Message: "the answer names no stream"}
	}
	return stream, answer.Token, nil
}

// known takes the doubt from the error of a request that changes nothing.
func known(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	plain := *e
	plain.unknown = false
	return &plain
}

// streamURL puts the path of a stream onto the configured host, as a websocket.
func (c *Client) streamURL(link string) (string, error) {
	u, err := url.Parse(link)
	if err != nil {
		return "", err
	}
	if !isPlainPath(u.EscapedPath()) || u.Path == "" {
		return "", errors.New("malformed path")
	}
	root := c.base.Path[:len(c.base.Path)-len("/v2-beta")]
	stream := url.URL{Scheme: "ws" + c.base.Scheme[len("http"):], Host: c.base.Host, Path: u.Path}
	if len(root) > 0 && (len(u.Path) < len(root) || u.Path[:len(root)] != root) {
		stream.Path = root + u.Path
	}
	return stream.String(), nil
}

// identifyContainer learns which service a container belongs to.
func (c *Client) identifyContainer(ctx context.Context, op, id string) error {
	if !isID(id, "1i") {
		return &Error{Op: op, Code: CodeMismatch, Message: "that is no id of a container"}
	}
	if c.grants.mayRead(id) == "" {
		return nil
	}
	u, err := c.scope(ctx, "/containers/"+id, nil)
	if err != nil {
		return err
	}
	var w wireContainer
	if err := c.get(ctx, op, u, &w); err != nil {
		return err
	}
	if w.ID != id {
		return &Error{Op: op, Status: http.StatusOK, Code: CodeMismatch, Message: "was told of " + clip(w.Type+" "+w.ID)}
	}
	return c.learnContainer(ctx, op, &w)
}

// learnContainer ties a container to the first of its services that may be read.
func (c *Client) learnContainer(ctx context.Context, op string, w *wireContainer) error {
	for _, serviceID := range w.ServiceIDs {
		if err := c.identify(ctx, op, serviceID); err != nil {
			return err
		}
		c.grants.learnContainer(w.ID, serviceID)
		if c.grants.mayRead(w.ID) == "" {
			return nil
		}
	}
	return nil
}
