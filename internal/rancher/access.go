package rancher

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Access is what the key's role may do and see.
type Access struct {
	// Kind is the account kind that Rancher names in its answers: project is an
	// environment API key, environment a container's own key, user and admin belong
	// to people.
	Kind string
	// Hidden are the members of a launch configuration that the role does not know,
	// sorted. An upgrade replaces launch configurations wholesale, so it would drop
	// them (rancher-api 9, 14.3).
	Hidden []string
	// ReadOnly says that the role has no action upgrade, as a read-only member's has
	// not (test_readonly_types in Cattle's test_authorization.py).
	ReadOnly bool
}

// guarded are the members that some role is known to hide: variables a read-only
// member's (rancher/rancher#9632), secrets those of containers' own keys
// (environment-auth.json in Cattle).
var guarded = []string{"environment", "secrets"}

// Access says what the key's role may do and see. Roles that the recordings show are
// known by their account kind; any other is asked for its schemas, once.
func (c *Client) Access(ctx context.Context) (Access, error) {
	if _, err := c.Environment(ctx); err != nil {
		return Access{}, err // Its answer names the account kind.
	}
	kind, _ := c.kind.Load().(string)
	switch strings.ToLower(kind) {
	case "project":
		return Access{Kind: kind}, nil
	case "environment", "projectadmin", "agent":
		return Access{Kind: kind, Hidden: []string{"secrets"}}, nil
	}
	c.mu.Lock()
	a, known := c.access[kind]
	c.mu.Unlock()
	if known {
		return a, nil
	}
	a, err := c.askAccess(ctx, kind)
	if err != nil {
		return Access{Kind: kind}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.access) > 16 {
		clear(c.access)
	}
	c.access[kind] = a
	return a, nil
}

// askAccess reads the two schemas that tell. A type that does not exist for the role
// hides everything in it.
func (c *Client) askAccess(ctx context.Context, kind string) (Access, error) {
	a := Access{Kind: kind}
	launch, err := c.schema(ctx, "launchConfig")
	if err != nil {
		return a, err
	}
	service, err := c.schema(ctx, "service")
	if err != nil {
		return a, err
	}
	for _, name := range guarded {
		if _, isSeen := launch.Fields[name]; !isSeen {
			a.Hidden = append(a.Hidden, name)
		}
	}
	_, mayUpgrade := service.Actions[actionUpgrade]
	a.ReadOnly = !mayUpgrade
	return a, nil
}

// wireSchema is the part of a type's schema that is read.
type wireSchema struct {
	ID      string              `json:"id"`
	Type    string              `json:"type"`
	Fields  map[string]struct{} `json:"resourceFields"`
	Actions map[string]struct{} `json:"resourceActions"`
}

// schema reads what the key's role knows of a type; the zero value is nothing.
func (c *Client) schema(ctx context.Context, name string) (wireSchema, error) {
	u, err := c.scope(ctx, "/schemas/"+name, nil)
	if err != nil {
		return wireSchema{}, err
	}
	var s wireSchema
	err = c.get(ctx, "reading schema "+name, u, &s)
	if isNotFound(err) || err == nil && (!strings.EqualFold(s.ID, name) || s.Type != "schema") {
		return wireSchema{}, nil
	}
	return s, err
}

// secretsHidden says whether the key's role hides which Rancher secrets a launch
// configuration uses. A missing member proves nothing, since absent values are left
// out for every role.
func (c *Client) secretsHidden(ctx context.Context) (bool, error) {
	a, err := c.Access(ctx)
	return err != nil || slices.Contains(a.Hidden, "secrets"), err
}

// Refusal says why no upgrade may be made with the key; empty when one may.
func (a Access) Refusal() string {
	switch {
	case a.ReadOnly:
		return "the key's role may only read; use an environment API key"
	case slices.Equal(a.Hidden, []string{"secrets"}):
		return "the key's role hides Rancher secrets, so the upgrade would drop them; use an environment API key"
	case len(a.Hidden) > 0:
		return fmt.Sprintf("the key's role hides %s, so the upgrade would drop it; use an environment API key", strings.Join(a.Hidden, " and "))
	}
	return ""
}

// refuseRole refuses a key that may not upgrade, or that cannot see all that it
// would send back.
func (c *Client) refuseRole(ctx context.Context, op string) error {
	a, err := c.Access(ctx)
	if err != nil {
		return err
	}
	refusal := a.Refusal()
	if refusal == "" {
		return nil
	}
	if a.ReadOnly {
		return &Error{Op: op, Code: CodeReadOnly, Message: refusal}
	}
	paths := make([]string, len(a.Hidden))
	for i, name := range a.Hidden {
		paths[i] = "/launchConfig/" + name
	}
	return &UnsafeError{Op: op, Paths: paths, Reason: refusal}
}
