package test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestDeployedTogether: the compose files and the Dockerfile say the same of what
// stands in two of them. make test-image runs them.
func TestDeployedTogether(t *testing.T) {
	var docker struct {
		Services map[string]struct {
			User        string
			Command     []string
			Environment map[string]string
			Volumes     []string
		}
	}
	var rancher struct {
		Services map[string]struct {
			HealthCheck struct {
				Port        int    `json:"port"`
				RequestLine string `json:"request_line"`
			} `json:"health_check"`
		}
	}
	for name, into := range map[string]any{"deploy/docker-compose.yml": &docker, "deploy/rancher-compose.yml": &rancher} {
		if err := yaml.Unmarshal([]byte(read(t, name)), into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	service, check := docker.Services["drover"], rancher.Services["drover"].HealthCheck
	if want := []string{"run", "--health-listen", ":" + strconv.Itoa(check.Port)}; !slices.Equal(service.Command, want) {
		t.Errorf("the command is %q, and Rancher checks port %d: want %q", service.Command, check.Port, want)
	}
	if !strings.HasPrefix(check.RequestLine, "GET /healthz ") {
		t.Errorf("Rancher asks %q, want GET /healthz", check.RequestLine)
	}
	image := read(t, "Dockerfile")
	users := regexp.MustCompile(`(?m)^USER (\S+)$`).FindAllStringSubmatch(image, -1)
	for _, u := range users {
		if u[1] != service.User {
			t.Errorf("the Dockerfile says USER %s, and the compose file %s", u[1], service.User)
		}
	}
	if len(users) != 2 {
		t.Errorf("the Dockerfile has %d users, want one for each of its two images", len(users))
	}
	for key, value := range service.Environment {
		if strings.HasPrefix(key, "DROVER_") && !strings.Contains(image, key+"="+value) {
			t.Errorf("the compose file says %s=%s, and the Dockerfile does not", key, value)
		}
	}
	if state := service.Environment["DROVER_STATE_DIR"]; state == "" || !slices.Contains(service.Volumes, "drover-state:"+state) {
		t.Errorf("the volumes %q do not hold the state directory %q", service.Volumes, state)
	}
}
