package rancher

import (
	"context"
	"net/url"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Named is something of Rancher's with an id and a name.
type Named struct {
	// ID is such as 1a5 or 1st2.
	ID string
	// Name is as people wrote it.
	Name string
}

// Environments are those that the key can see, in Rancher's order.
func (c *Client) Environments(ctx context.Context) ([]Named, error) {
	u := *c.base
	u.Path += "/projects"
	var all []Named
	err := list(ctx, c, "finding the environment", &u, "project", func(p *wireProject) error {
		if isID(p.ID, "1a") && !isGone(p.State) {
			all = append(all, Named{p.ID, p.Name})
		}
		return nil
	})
	return all, err
}

// UseEnvironment settles which environment the client is about, for a caller who
// chose among Environments.
func (c *Client) UseEnvironment(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.project = id
}

// Stacks are those of the environment, in Rancher's order.
func (c *Client) Stacks(ctx context.Context) ([]Named, error) {
	u, err := c.scope(ctx, "/stacks", nil)
	if err != nil {
		return nil, err
	}
	var all []Named
	err = list(ctx, c, "reading the stacks", u, "stack", func(s *wireStack) error {
		if isID(s.ID, "1st") && !isGone(s.State) {
			all = append(all, Named{s.ID, s.Name})
			c.learnStack(s.ID, s.Name)
		}
		return nil
	})
	return all, err
}

// Services are those of a stack, in Rancher's order.
func (c *Client) Services(ctx context.Context, stack Named) ([]Named, error) {
	u, err := c.scope(ctx, "/services", url.Values{"stackId": {stack.ID}})
	if err != nil {
		return nil, err
	}
	var all []Named
	err = list(ctx, c, "reading the services of stack "+clip(stack.Name), u, "service", func(s *wireService) error {
		if s.isService() && s.StackID == stack.ID && !isGone(s.State) {
			all = append(all, Named{s.ID, s.Name})
			c.grants.learnService(s.ID, Key{Stack: stack.Name, Service: s.Name})
		}
		return nil
	})
	return all, err
}

// AllServices are those of all stacks, without their containers: for completion,
// and to find who runs an image.
func (c *Client) AllServices(ctx context.Context) ([]observe.Service, error) {
	stacks, err := c.Stacks(ctx)
	if err != nil {
		return nil, err
	}
	names := make(map[string]string, len(stacks))
	for _, s := range stacks {
		names[s.ID] = s.Name
	}
	at := time.Now()
	hidden, _ := c.secretsHidden(ctx) // Says nothing about names and images.
	var found []observe.Service
	err = listAll(ctx, c, "/services", "service", func(s *wireService) error {
		if stack := names[s.StackID]; stack != "" && s.isService() && !isGone(s.State) {
			found = append(found, s.view(stack, at, hidden))
		}
		return nil
	})
	return found, err
}

// Secret finds a Rancher secret by its name; no id and no error means that there
// is none.
func (c *Client) Secret(ctx context.Context, name string) (Named, error) {
	u, err := c.scope(ctx, "/secrets", url.Values{"name": {name}})
	if err != nil {
		return Named{}, err
	}
	var found Named
	err = list(ctx, c, "reading secret "+clip(name), u, "secret", func(s *wireSecret) error {
		if found.ID == "" && s.Name == name && isID(s.ID, "1se") && !isGone(s.State) {
			found = Named{s.ID, s.Name}
		}
		return nil
	})
	return found, err
}
