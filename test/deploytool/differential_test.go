package deploytool

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// atOnce is how many trials run beside each other. Both tools sleep most of the time.
const atOnce = 36

// ran is what a tool did to its twin.
type ran struct {
	writes   []string
	state    string
	code     int
	output   string
	outcomes []string
}

// TestDifferential runs the tool of PyPI and ours against identical servers, over a matrix of options and states, and
// compares what changed, what is left, how they end and what they say.
func TestDifferential(t *testing.T) {
	t.Parallel()
	tools := []string{pypi(t), ourTool(t)}
	results := make([][2]ran, len(matrix))
	slots := make(chan struct{}, atOnce)
	var running sync.WaitGroup
	for i := range matrix {
		running.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] = duel(t, &matrix[i], tools)
		})
	}
	running.Wait()
	for i := range matrix {
		t.Run(matrix[i].name, func(t *testing.T) { compare(t, &matrix[i], results[i]) })
	}
}

// ourTool is drover under the name that pipelines call.
func ourTool(t *testing.T) string {
	t.Helper()
	link := filepath.Join(t.TempDir(), "rancher-gitlab-deploy")
	if err := os.Symlink(drover(t), link); err != nil {
		t.Fatal(err)
	}
	return link
}

// duel runs both tools, each against a server of its own.
func duel(t *testing.T, c *trial, tools []string) [2]ran {
	var both [2]ran
	var twins [2]*twin
	var running sync.WaitGroup
	for i := range both {
		running.Go(func() {
			twins[i] = newTwin(t)
			if c.prepare != nil {
				c.prepare(twins[i])
			}
			both[i] = call(t, c, tools[i], twins[i], i == 1)
		})
	}
	running.Wait()
	settle(&both, twins, slices.Contains(c.differs, final))
	return both
}

// call runs one tool.
func call(t *testing.T, c *trial, tool string, w *twin, isOurs bool) ran {
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	args := slices.Clone(c.args)
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "RANCHER_URL=" + w.http.URL,
		"RANCHER_ACCESS_KEY=" + accessKey, "RANCHER_SECRET_KEY=" + secretKey,
		"CI_PROJECT_NAMESPACE=st-parrot-rest", "CI_PROJECT_NAME=parrot-rest",
	}
	for _, e := range c.env {
		if more, ok := strings.CutPrefix(e, "OURS="); ok && isOurs {
			args = append(args, strings.Fields(more)...)
		}
		env = append(env, e)
	}
	for i := range args {
		args[i] = strings.Replace(args[i], "SERVER", w.http.URL, 1)
	}
	cmd := exec.CommandContext(ctx, tool, args...)
	var output bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &output, &output
	r := ran{}
	var exit *exec.ExitError
	if err := cmd.Run(); errors.As(err, &exit) {
		r.code = exit.ExitCode()
	} else if err != nil {
		t.Errorf("%s: %v", c.name, err)
	}
	r.output, r.outcomes, r.writes = output.String(), outcome(output.String()), w.changes()
	return r
}

// settle waits until both servers come to rest, alike if that is what they are to be.
func settle(both *[2]ran, twins [2]*twin, mayDiffer bool) {
	patience := 10 * time.Second
	if mayDiffer {
		patience = time.Second
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	since := time.Now()
	for last := ""; ; <-tick.C {
		both[0].state, both[1].state = twins[0].state(), twins[1].state()
		now := both[0].state + both[1].state
		if now != last {
			last, since = now, time.Now()
		}
		if both[0].state == both[1].state && time.Since(since) > 200*time.Millisecond || time.Since(since) > patience {
			return
		}
	}
}

// compare holds ours to theirs, but for what the page's table says.
func compare(t *testing.T, c *trial, r [2]ran) {
	theirs, ours := r[0], r[1]
	differs := map[aspect]bool{
		changes:  !slices.Equal(theirs.writes, ours.writes),
		final:    theirs.state != ours.state,
		exitCode: theirs.code != ours.code,
		words:    !slices.Equal(theirs.outcomes, ours.outcomes),
	}
	for _, a := range []aspect{changes, final, exitCode, words} {
		if want := slices.Contains(c.differs, a); differs[a] != want {
			t.Errorf("%s: differ %t, want %t", a, differs[a], want)
		}
	}
	for _, w := range c.ours {
		if !strings.Contains(ours.output, w) {
			t.Errorf("our output lacks %q", w)
		}
	}
	if strings.Contains(ours.output, secretKey) || secretInBase64.MatchString(ours.output) {
		t.Error("our output shows the key")
	}
	if t.Failed() {
		t.Logf("theirs: exit %d, %q\n%s\n%s\n%s", theirs.code, theirs.outcomes, theirs.output, strings.Join(theirs.writes, "\n"), theirs.state)
		t.Logf("ours: exit %d, %q\n%s\n%s\n%s", ours.code, ours.outcomes, ours.output, strings.Join(ours.writes, "\n"), ours.state)
	}
}

// secretInBase64 is the header that the tool prints with --debug.
var secretInBase64 = regexp.MustCompile(`Authorization: Basic`)

// elsewhere are rows of the page's table that no trial can show, each with the test that does.
var elsewhere = map[string]string{
	"lost-answers":      "internal/deploytool TestLostAnswers",
	"debug":             "the trial debug: compare looks for the key in every output",
	"losses":            "the trials labels and variables, and internal/deploytool TestMessages",
	"first-environment": "the trial account key",
	"interrupted":       "internal/deploytool TestInterrupted",
	"certificates":      "cmd/controller TestDeployCertificates",
	"timeouts":          "internal/deploytool TestTheWaitIsCountedInPolls and TestMessages",
	"paging":            "internal/rancher TestServiceIsReadThroughPages",
	"interleaving":      "internal/rancher TestReplaceIsRefused and internal/deploytool TestAPersonWins",
	"dialect":           "internal/rancher TestReplaceBodiesAgainstRecordings",
	"sentences":         "internal/deploytool TestMessages",
}

// TestEveryDeviationIsARow holds the page's table to the matrix, both ways.
func TestEveryDeviationIsARow(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(text), "\n## What differs\n")
	part, _, _ = strings.Cut(part, "\n## ")
	rows := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(part, -1) {
		rows[m[1]] = true
	}
	shown := map[string]bool{}
	for i := range matrix {
		row := matrix[i].deviates
		if row == "" {
			continue
		}
		if shown[row] = true; !rows[row] {
			t.Errorf("trial %q deviates as %q, which is no row of %s", matrix[i].name, row, page)
		}
	}
	for row := range rows {
		if !shown[row] && elsewhere[row] == "" {
			t.Errorf("nothing shows the deviation %q", row)
		}
	}
	if len(rows) < 15 {
		t.Errorf("found %d rows: the test looks in the wrong place", len(rows))
	}
}
