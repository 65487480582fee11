package desired

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// Key is stack/service, which is unique in the file and in a Rancher environment.
func (t Target) Key() string { return t.Stack + "/" + t.Service }

// PolicyHash is a short hash of how the target is rolled out and judged. A
// rollout carries it in a label, so that one begun under an earlier policy is
// recognised. It changes when a later version of Drover knows more keys.
func (t Target) PolicyHash() string {
	rollout, gates := t.Rollout, t.Gates
	rollout.OnSameLayers = ""      // What is asked before a start, and
	if gates.LoadBalancer != nil { // what is done between rollouts, is no policy of one.
		g := *gates.LoadBalancer
		g.Shadow, gates.LoadBalancer = nil, &g
	}
	policy, err := json.Marshal(struct {
		Rollout Rollout `json:"rollout"`
		Gates   Gates   `json:"gates"`
	}{rollout, gates})
	if err != nil {
		panic("desired: a policy is plain data: " + err.Error())
	}
	sum := sha256.Sum256(policy)
	return hex.EncodeToString(sum[:6])
}

// Target finds a target by its name or by stack/service.
func (c *Config) Target(name string) (Target, bool) {
	for i := range c.Targets {
		if t := &c.Targets[i]; strings.EqualFold(t.Name, name) || t.isAt(name) {
			return *t, true
		}
	}
	return Target{}, false
}

// isAt says that a key is the target's, in any case. Each look at a target asks it of
// thousands of others, so it makes no key.
func (t *Target) isAt(key string) bool {
	stack := len(t.Stack)
	return len(key) == stack+1+len(t.Service) && key[stack] == '/' &&
		strings.EqualFold(key[stack+1:], t.Service) && strings.EqualFold(key[:stack], t.Stack)
}

// LoadBalancer finds a load balancer by name.
func (c *Config) LoadBalancer(name string) (LoadBalancer, bool) {
	for _, lb := range c.LoadBalancers {
		if lb.Name == name {
			return lb, true
		}
	}
	return LoadBalancer{}, false
}

// PrometheusServer finds a Prometheus server by name.
func (c *Config) PrometheusServer(name string) (PrometheusServer, bool) {
	for _, p := range c.Prometheus {
		if p.Name == name {
			return p, true
		}
	}
	return PrometheusServer{}, false
}

// Check finds a check by name.
func (c *Config) Check(name string) (Check, bool) {
	for _, k := range c.Checks {
		if k.Name == name {
			return k, true
		}
	}
	return Check{}, false
}

// Registry is how the registry of a host is asked: as listed, or anonymously
// over HTTPS with the defaults.
func (c *Config) Registry(host string) Registry {
	for _, r := range c.Registries {
		if strings.EqualFold(r.Host, host) {
			return r
		}
	}
	return builtinRegistry(host)
}

// Warnings are what works but is hardly meant, by line.
func (c *Config) Warnings() Errors { return c.warnings }
