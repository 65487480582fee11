package check

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os/exec"
)

// Ready says why a check could not be called now; nil when it could. It calls
// nothing: a check may do something.
func (r *Runner) Ready(ctx context.Context, name string) error {
	r.mu.Lock()
	spec, ok := r.specs[name]
	r.mu.Unlock()
	switch {
	case !ok:
		return fmt.Errorf("check %q is not configured", name)
	case spec.Webhook != nil:
		return spec.Webhook.ready(ctx)
	case spec.Command != nil:
		return spec.Command.ready()
	case spec.Pipeline != nil:
		return spec.Pipeline.Client.CanRead(ctx, spec.Pipeline.Project)
	}
	return nil
}

// ready connects to the webhook's host, and asks nothing.
func (w *Webhook) ready(ctx context.Context) error {
	if w.Token != nil {
		if _, err := w.Token(); err != nil {
			return err
		}
	}
	u, err := url.Parse(w.URL)
	if err != nil {
		return fmt.Errorf("the webhook's address is no URL")
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), u.Scheme) // A service's name is its port.
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("the webhook's host is not reached: %w", err)
	}
	return conn.Close()
}

func (c *Command) ready() error {
	if _, err := exec.LookPath(c.Run[0]); err != nil {
		return fmt.Errorf("the command cannot be run: %w", err)
	}
	for _, secret := range c.Env {
		if _, err := secret(); err != nil {
			return err
		}
	}
	return nil
}
