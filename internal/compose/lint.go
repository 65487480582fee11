package compose

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
)

// Level says how bad a problem is.
type Level string

const (
	// LevelFail makes a rollout unsafe or impossible.
	LevelFail Level = "fail"
	// LevelWarn works, and is hardly meant.
	LevelWarn Level = "warn"
)

// Problem is something in the files that makes rollouts unsafe.
type Problem struct {
	Note
	Level Level
	// Rule is its name, to leave it out by.
	Rule string
}

// Rule is one thing that Lint looks for.
type Rule struct {
	// Name is a constant word.
	Name  string
	Level Level
	// Meaning is why it matters, in a sentence.
	Meaning string
	check   func(*Stack, *Service) []finding
}

// finding is where and what.
type finding struct{ path, text string }

// Rules are all that Lint looks for.
var Rules = []Rule{
	{"no-health-check", LevelFail, "without a health check nobody tells a dead version from a live one", checkHealth},
	{"plain-secret", LevelFail, "a secret in the environment is in git, in Rancher's page and in every backup", checkSecrets},
	{"stats-without-auth", LevelFail, "everybody who reaches the load balancer can read, and with admin change, its servers", checkStats},
	{"start-first-impossible", LevelFail, "the new container cannot start beside the old one", checkStartFirst},
	{"host-port", LevelWarn, "a published port lets only one container of the service run on a host, so startFirst takes a host to spare", checkPorts},
	{"floating-tag", LevelWarn, "what latest, or no tag, names changes: the file does not say what runs, and a container that is replaced may run something newer", checkTag},
	{"whole-batch", LevelWarn, "all containers are replaced at once: there is no old version left to compare with or to serve", checkBatch},
	{"long-interval", LevelWarn, "a rollback waits between batches just as long", checkInterval},
	{"no-recreate", LevelWarn, "unhealthy containers stay: health_check.strategy is none", checkStrategy},
}

// Lint finds what makes a stack's rollouts unsafe. Values of variables are
// never repeated.
func Lint(stack *Stack) []Problem {
	var problems []Problem
	for i := range stack.Services {
		s := &stack.Services[i]
		for _, r := range Rules {
			for _, f := range r.check(stack, s) {
				problems = append(problems, Problem{Note{s.At(f.path), s.Name, f.text}, r.Level, r.Name})
			}
		}
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return byPlace(a.Note, b.Note) })
	return problems
}

func found(path, format string, args ...any) []finding {
	return []finding{{path, fmt.Sprintf(format, args...)}}
}

// isApplication says that a service runs a version of somebody's own, which
// rollouts change: not Rancher's load balancer, a sidekick or a job.
func isApplication(s *Service) bool {
	return !s.IsBalancer() && s.SidekickOf == "" && !s.isOnce() && !strings.HasPrefix(s.Image, "rancher/")
}

func checkHealth(_ *Stack, s *Service) []finding {
	if !isApplication(s) || s.Health != nil {
		return nil
	}
	return found("", "has no health_check: add one to rancher-compose.yml, with the request_line of a page that tells the truth")
}

// secretName finds variables whose names say that they hold a secret.
var secretName = regexp.MustCompile(`(?i)(^|_|-)(password|passwd|passphrase|pwd|secret|token|api_?key|access_?key|private_?key|credentials?)(_|-|$)`)

// urlPassword finds a password inside a URL.
var urlPassword = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@]*:([^/\s@]+)@`)

func checkSecrets(_ *Stack, s *Service) []finding {
	var all []finding
	for name, value := range s.Environment {
		inURL := urlPassword.FindStringSubmatch(value)
		switch {
		case inURL != nil && !isVariable(inURL[1]):
			all = append(all, finding{"environment." + name, name + " holds a password inside a URL: hand it in as a file or a variable"})
		case value != "" && secretName.MatchString(name) && !isVariable(value) && !isElsewhere(name, value):
			all = append(all, finding{"environment." + name, name + " is written out: use a Rancher secret and read /run/secrets, or a variable, ${" + name + "}"})
		}
	}
	slices.SortFunc(all, func(a, b finding) int { return strings.Compare(a.path, b.path) })
	return all
}

// isElsewhere says that a variable only tells where the secret is.
func isElsewhere(name, value string) bool {
	upper := strings.ToUpper(name)
	return strings.HasSuffix(upper, "_FILE") || strings.HasSuffix(upper, "_PATH") || strings.HasPrefix(value, "/")
}

func checkStats(_ *Stack, s *Service) []finding {
	if s.Balancer == nil {
		return nil
	}
	for _, page := range statsPages(s.Balancer.Config) {
		if !page.hasAuth {
			return found("lb_config.config", "its statistics page %s asks for no password: add stats auth", page.uri)
		}
	}
	return nil
}

func checkStartFirst(_ *Stack, s *Service) []finding {
	if s.Upgrade == nil || !s.Upgrade.StartFirst || !s.RetainIP {
		return nil
	}
	return found("upgrade_strategy.start_first", "start_first with retain_ip: the address stays with the old container; leave one of them out")
}

func checkPorts(_ *Stack, s *Service) []finding {
	if !isApplication(s) || len(s.HostPorts) == 0 {
		return nil
	}
	return found("ports", "publishes port %d on its hosts: let the load balancer reach it by its own address", s.HostPorts[0])
}

func checkTag(_ *Stack, s *Service) []finding {
	if s.Image == "" || isVariable(s.Image) || strings.HasPrefix(s.Image, "rancher/") {
		return nil
	}
	named, err := reference.ParseNormalizedNamed(s.Image)
	if err != nil {
		return nil
	}
	tagged, isTagged := named.(reference.Tagged)
	switch _, isDigested := named.(reference.Digested); {
	case isDigested:
		return nil
	case !isTagged:
		return found("image", "names no tag, which means latest")
	case tagged.Tag() == "latest":
		return found("image", "follows latest without a digest: right for a target of Drover, which pins it; write a digest or a version for everything else")
	}
	return nil
}

func checkBatch(_ *Stack, s *Service) []finding {
	if s.Upgrade == nil || s.Scale < 2 || s.Upgrade.BatchSize < s.Scale {
		return nil
	}
	return found("upgrade_strategy.batch_size", "batch_size %d with scale %d replaces all containers at once", s.Upgrade.BatchSize, s.Scale)
}

func checkInterval(_ *Stack, s *Service) []finding {
	if s.Upgrade == nil || s.Upgrade.Interval <= longestInterval {
		return nil
	}
	return found("upgrade_strategy.interval_millis", "waits %s between batches, and a rollback does too: at most %s", s.Upgrade.Interval.Round(time.Second), longestInterval)
}

func checkStrategy(_ *Stack, s *Service) []finding {
	if s.Health == nil || s.Health.Strategy != "none" {
		return nil
	}
	return found("health_check.strategy", "health_check.strategy none: an unhealthy container is not replaced")
}
