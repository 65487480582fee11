package deploytool

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// pipeline is deploy/gitlab-ci-upgrade.yml, whose calls of upgrade are made.
const pipeline = "../../deploy/gitlab-ci-upgrade.yml"

// TestPipelineExample makes the calls of the example pipeline against a server, by the name that they use.
func TestPipelineExample(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for upgrades two seconds at a time")
	}
	text, err := os.ReadFile(pipeline)
	if err != nil {
		t.Fatal(err)
	}
	var jobs map[string]any
	if err := yaml.Unmarshal(text, &jobs); err != nil {
		t.Fatal(err)
	}
	if stages, _ := jobs["stages"].([]any); len(stages) != 2 {
		t.Errorf("stages %v, want two", stages)
	}
	w := newTwin(t)
	bin := t.TempDir()
	if err := os.Symlink(drover(t), filepath.Join(bin, "upgrade")); err != nil {
		t.Fatal(err)
	}
	env := []string{
		"PATH=" + bin, "RANCHER_URL=" + w.http.URL, "RANCHER_ACCESS_KEY=" + accessKey, "RANCHER_SECRET_KEY=" + secretKey,
		"CI_PROJECT_NAMESPACE=st-parrot-rest", "CI_PROJECT_NAME=parrot-rest", "IMAGE=" + app, "CI_COMMIT_SHA=c0ffee",
	}
	for _, c := range []struct{ job, says, state, image string }{
		{"deploy", "Upgrade finished", "active", app + ":c0ffee"},
		{"try", "Service upgraded", "upgraded", app + ":c0ffee"},
		{"rollback", "rolled back", "active", app + ":c0ffee"},
		{"try", "Service upgraded", "upgraded", app + ":c0ffee"},
		{"finish", "Upgrade finished", "active", app + ":c0ffee"},
	} {
		output, code := run(t, env, jobLine(t, jobs, c.job))
		_, svc := w.call("GET", w.path("parrot-rest"), "")
		config, _ := svc["launchConfig"].(map[string]any)
		if code != 0 || !strings.Contains(output, c.says) || svc["state"] != c.state || config["imageUuid"] != "docker:"+c.image {
			t.Errorf("job %s: exit %d, the service is %v with %v\n%s", c.job, code, svc["state"], config["imageUuid"], output)
		}
	}
	want := []string{"upgrade", "finishupgrade", "upgrade", "rollback", "upgrade", "finishupgrade"}
	var got []string
	for _, write := range w.changes() {
		_, rest, _ := strings.Cut(write, "?action=")
		action, _, _ := strings.Cut(rest, " ")
		got = append(got, action)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the jobs sent %q, want %q", got, want)
	}
}

// jobLine is the call of upgrade in a job.
func jobLine(t *testing.T, jobs map[string]any, name string) string {
	t.Helper()
	job, _ := jobs[name].(map[string]any)
	script, _ := job["script"].([]any)
	for _, line := range script {
		if s, _ := line.(string); strings.HasPrefix(s, "upgrade") {
			return s
		}
	}
	t.Fatalf("%s: job %s calls no upgrade", pipeline, name)
	return ""
}

// TestLogs shows the logs of a service that is named as pipelines name it.
func TestLogs(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	bin := t.TempDir()
	if err := os.Symlink(drover(t), filepath.Join(bin, "upgrade")); err != nil {
		t.Fatal(err)
	}
	env := append(w.environ("/bin/none"), "PATH="+bin)
	output, code := run(t, env, "upgrade logs --stack GF.Chat")
	if code != 0 || !strings.Contains(output, "listening on 8080") || !strings.Contains(output, "parrot-rest-3") {
		t.Errorf("exit %d, want the lines of three containers:\n%s", code, output)
	}
	output, code = run(t, env, "upgrade logs --service nope")
	if code != 1 || !strings.Contains(output, "Unable to find a service called 'nope'") {
		t.Errorf("exit %d, want that there is no such service:\n%s", code, output)
	}
}

// TestPipelinesAreWhole: both examples are YAML, and every job's stage is one of the pipeline's.
func TestPipelinesAreWhole(t *testing.T) {
	for _, path := range []string{pipeline, "../../deploy/gitlab-ci.yml"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var jobs map[string]any
		if err := yaml.Unmarshal(text, &jobs); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		stages, _ := jobs["stages"].([]any)
		seen := 0
		for name, value := range jobs {
			job, isJob := value.(map[string]any)
			if !isJob || job["script"] == nil {
				continue
			}
			if seen++; !slices.Contains(stages, job["stage"]) {
				t.Errorf("%s: job %s is of stage %v, which is none of %v", path, name, job["stage"], stages)
			}
		}
		if seen < 4 {
			t.Errorf("%s has %d jobs: the test looks in the wrong place", path, seen)
		}
	}
}
