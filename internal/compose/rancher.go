package compose

import (
	"fmt"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// readRancher reads a rancher-compose.yml, version 1 or 2, into the services that
// docker-compose.yml has named. External services and aliases are in it alone,
// and have no image to follow.
func readRancher(stack *Stack, f File) error {
	_, services, err := parse(f)
	if err != nil {
		return err
	}
	for i := 0; i+1 < len(services.Content); i += 2 {
		key, value := services.Content[i], resolved(services.Content[i+1])
		s := stack.find(key.Value)
		if s == nil || value.Kind != yaml.MappingNode {
			continue
		}
		s.note(f.Name, value)
		r := reader{file: f.Name, service: key.Value}
		s.Scale = r.whole(value, "scale")
		s.RetainIP = r.truth(value, "retain_ip")
		if n := child(value, "health_check"); n != nil {
			s.Health = r.health(n)
		}
		if n := child(value, "upgrade_strategy"); n != nil {
			s.Upgrade = r.strategy(n)
		}
		if n := child(value, "lb_config"); n != nil {
			s.Balancer = r.balancer(n)
		}
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

// reader reads values and keeps the first complaint.
type reader struct {
	file, service string
	err           error
}

func (r *reader) complain(n *yaml.Node, key, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s:%d: %s: %s: must be %s", r.file, n.Line, r.service, key, want)
	}
}

func (r *reader) text(n *yaml.Node, key string) string {
	v := child(n, key)
	if v == nil {
		return ""
	}
	if v.Kind != yaml.ScalarNode {
		r.complain(v, key, "text")
		return ""
	}
	return v.Value
}

// whole is a whole number; 0 when it is not there. A variable is not known.
func (r *reader) whole(n *yaml.Node, key string) int {
	text := r.text(n, key)
	if text == "" || isVariable(text) {
		return 0
	}
	i, err := strconv.Atoi(text)
	if err != nil || i < 0 {
		r.complain(child(n, key), key, "a whole number")
	}
	return max(i, 0)
}

// millis is a duration in milliseconds, as Rancher writes them.
func (r *reader) millis(n *yaml.Node, key string) time.Duration {
	return time.Duration(min(r.whole(n, key), 1<<31)) * time.Millisecond
}

func (r *reader) truth(n *yaml.Node, key string) bool {
	is, err := strconv.ParseBool(r.text(n, key))
	return err == nil && is
}

func (r *reader) health(n *yaml.Node) *HealthCheck {
	return &HealthCheck{
		Port: r.whole(n, "port"), RequestLine: r.text(n, "request_line"),
		Initializing: r.millis(n, "initializing_timeout"), Strategy: r.text(n, "strategy"),
	}
}

// strategy has Rancher's defaults: one container every two seconds, the old one
// stopped first (rancher-api 3.2).
func (r *reader) strategy(n *yaml.Node) *UpgradeStrategy {
	return &UpgradeStrategy{
		BatchSize: r.whole(n, "batch_size"), Interval: r.millis(n, "interval_millis"), StartFirst: r.truth(n, "start_first"),
	}
}

func (r *reader) balancer(n *yaml.Node) *Balancer {
	b := &Balancer{Config: r.text(n, "config")}
	rules := child(n, "port_rules")
	if rules == nil {
		return b
	}
	if rules.Kind != yaml.SequenceNode {
		r.complain(rules, "lb_config.port_rules", "a list")
		return b
	}
	for _, rule := range rules.Content {
		b.Rules = append(b.Rules, PortRule{
			SourcePort: r.whole(rule, "source_port"), Hostname: r.text(rule, "hostname"),
			Service: r.text(rule, "service"), Selector: r.text(rule, "selector"),
		})
	}
	return b
}
