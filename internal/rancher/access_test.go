package rancher

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// TestKeys: what each kind of key may do through this client, and what is said of one that may not.
func TestKeys(t *testing.T) {
	inSim(t, InformerOptions{}, nil, func(w *simWorld) {
		id := w.service(w.stack("shop"), "web", 1)
		time.Sleep(time.Minute) // The service becomes active.
		here, other := w.server.ProjectID(), w.server.AddProject("other")
		for name, k := range map[string]ranchersim.Key{
			"account":  {Kind: ranchersim.AccountKey},
			"stranger": {Kind: ranchersim.AccountKey, Project: other},
			"reader":   {Kind: ranchersim.ReadOnlyKey, Project: here},
			"agent":    {Kind: ranchersim.AgentKey, Project: here},
			"theirs":   {Project: other},
		} {
			k.Access, k.Secret = name, "secret"
			w.server.AddKey(k)
		}
		for _, tt := range []struct {
			key, environment string
			// cause is why the service cannot be read, refused why it cannot be upgraded.
			cause   observe.Cause
			refused string
			hidden  []string
			// sees is how many secrets a launch configuration without any is seen to have.
			sees int
		}{
			{key: "key"},
			{key: "key", environment: "prod"},
			{key: "account", environment: "prod"},
			{key: "account", cause: observe.CauseUnusable, refused: "name one of prod (1a5), other"},
			{key: "account", environment: "elsewhere", cause: observe.CauseUnusable, refused: `no environment "elsewhere"; the key sees prod`},
			{key: "stranger", environment: "prod", cause: observe.CauseUnusable, refused: `no environment "prod"; the key sees other`},
			{key: "theirs", environment: "prod", cause: observe.CauseUnusable, refused: `no environment "prod"; the key sees other`},
			{key: "reader", hidden: []string{"environment"}, refused: "may only read"},
			{key: "agent", hidden: []string{"secrets"}, refused: "hides Rancher secrets", sees: -1},
			{key: "wrong", cause: observe.CauseAuth, refused: "401"},
		} {
			c, err := New(Options{
				URL: "http://rancher.example:8080", Environment: tt.environment,
				AccessKey: text(tt.key), SecretKey: text("secret"), Transport: w, Allow: []Key{web},
			})
			if err != nil {
				w.t.Fatal(err)
			}
			s := c.Service(w.t.Context(), "shop", "web")
			if got := causeOf(s.Problem); got != tt.cause || s.Launch.Secrets != tt.sees {
				w.t.Errorf("key %s in %q reads the service with problem %v and %d secrets, want cause %q and %d", tt.key, tt.environment, s.Problem, s.Launch.Secrets, tt.cause, tt.sees)
			}
			a, _ := c.Access(w.t.Context())
			if !slices.Equal(a.Hidden, tt.hidden) || a.ReadOnly != (tt.key == "reader") {
				w.t.Errorf("key %s: Access = %+v, want %q hidden", tt.key, a, tt.hidden)
			}
			_, err = c.PrepareUpgrade(w.t.Context(), specFor(id))
			if tt.refused == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.refused) {
				w.t.Errorf("key %s: PrepareUpgrade = %v, want %q", tt.key, err, tt.refused)
			}
			if tt.refused != "" {
				continue
			}
			if hosts := c.Hosts(w.t.Context()); hosts.Problem != nil || hosts.Active != 1 {
				w.t.Errorf("key %s sees hosts %+v", tt.key, hosts)
			}
		}
		if posts := slices.DeleteFunc(w.requests(), func(r string) bool { return !strings.HasPrefix(r, "POST") }); len(posts) != 0 {
			w.t.Errorf("sent %q, want nothing", posts)
		}
	})
}

// causeOf is the cause of a problem, empty without one.
func causeOf(p *observe.Problem) observe.Cause {
	if p == nil {
		return ""
	}
	return p.Cause
}

// TestReaderIsRefusedByItsRole: before anything is sent, and not as a change of the service's state.
func TestReaderIsRefusedByItsRole(t *testing.T) {
	inSim(t, InformerOptions{}, nil, func(w *simWorld) {
		id := w.service(w.stack("shop"), "web", 1)
		w.server.AddKey(ranchersim.Key{Access: "reader", Secret: "s", Kind: ranchersim.ReadOnlyKey})
		c, err := New(Options{URL: "http://rancher.example:8080", AccessKey: text("reader"), SecretKey: text("s"), Transport: w, Allow: []Key{web}})
		if err != nil {
			w.t.Fatal(err)
		}
		_, err = c.PrepareUpgrade(w.t.Context(), specFor(id))
		var e *Error
		if !errors.As(err, &e) || e.Code != CodeReadOnly || !e.NotAllowed() || e.Conflict() {
			w.t.Errorf("PrepareUpgrade = %v, want it not allowed", err)
		}
		// Where nothing was prepared Rancher itself refuses, and that is known.
		_, err = c.Rollback(w.t.Context(), id)
		if !errors.As(err, &e) || !e.NotAllowed() || e.Unknown() || e.Status != 422 {
			w.t.Errorf("Rollback = %v, want 422 and not allowed", err)
		}
	})
}
