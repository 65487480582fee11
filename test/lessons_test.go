package test

import (
	"go/ast"
	"path"
	"regexp"
	"strings"
	"testing"
)

// lessons are what the recordings of a running Rancher taught, each with the tests that
// show it in what Drover does: package and name.
var lessons = []struct {
	what  string
	shown []string
}{
	{"bodies are validated before they leave: a null batchSize, a missing image, a malformed digest are accepted by the server and wreck the service", []string{
		"internal/rancher TestCheckBody", "internal/rancher TestPrepareRefuses", "internal/ranchersim TestAcceptedThoughWrong", "internal/ranchersim TestNullBatchSizeSticks",
	}},
	{"progress is counted per container by launchConfig.version and health", []string{
		"test/faulttable TestA17UpgradedTooEarly", "test/faulttable TestA15PagesHideContainers",
	}},
	{"progress is never read from the service's state, healthState or currentScale", []string{
		"pkg/reconcile TestServiceHealthStateDecidesNothing", "test/faulttable TestUpgradedWithoutANewContainer",
	}},
	{"a person puts the scale in the middle of an upgrade", []string{
		"test/faulttable TestA28PersonScales", "internal/ranchersim TestScalePutEndsAnUpgradeEarly",
	}},
	{"a rollback has to pull the old image again, or cannot", []string{"test/faulttable TestRollbackPullsTheOldImage"}},
	{"active is still initializing", []string{"test/faulttable TestActiveIsNotHealthy"}},
	{"two upgrades are accepted at once", []string{
		"test/faulttable TestTwoUpgradesAtOnce", "internal/rancher TestUpgradeAndFinish", "internal/ranchersim TestTwoUpgradesLaterWins",
	}},
	{"an upgrade ends as upgraded without a single new container because no host was active", []string{
		"test/faulttable TestUpgradedWithoutANewContainer", "internal/ranchersim TestNoActiveHostEndsUpgradedWithoutContainers",
	}},
	{"the registry does not have a digest", []string{
		"test/faulttable TestMissingDigest", "internal/ranchersim TestMissingImageIsTriedForEver",
	}},
	{"a container's image differs from what was asked, and hosts run different images: shown in status, in the log and in a decision", []string{
		"test/faulttable TestHostsThatRunDifferentImages", "pkg/reconcile TestHostsRunDifferentImages", "pkg/reconcile TestRunsAsAsked",
		"internal/rancher TestRecordedStream", "cmd/controller TestCommandsAgainstARunningWorld",
	}},
	{"a load balancer is rolled back only through /services", []string{
		"internal/rancher TestGuard", "internal/rancher TestLoadBalancerRollbackGoesThroughServices",
	}},
	{"a container's own key, which loses secrets, is refused", []string{
		"internal/rancher TestAgentKeyOfTheRecording", "internal/rancher TestKeys", "cmd/controller TestLiveValidationSaysWhoseKeyItIs", "test/faulttable TestKeyThatHidesSecrets",
	}},
	{"transitioning: error that passes is told from one that stays", []string{
		"test/faulttable TestMissingDigest", "pkg/reconcile TestPassingErrorIsNoDeadEnd",
	}},
}

// TestSandboxSaysWhatShowsIt: every row of the table of what of Rancher there is names tests that exist, or none.
func TestSandboxSaysWhatShowsIt(t *testing.T) {
	_, table, ok := strings.Cut(read(t, "docs/sandbox.md"), "| section | built | not built | shown by |\n|---|---|---|---|\n")
	if !ok {
		t.Fatal("docs/sandbox.md has no table of what of Rancher there is")
	}
	exists := map[string]bool{}
	for name := range testNames(t) {
		_, test, _ := strings.Cut(name, " ")
		exists[test] = true
	}
	rows := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 6 {
			break
		}
		rows++
		shown := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(cells[4], -1)
		if len(shown) == 0 && strings.TrimSpace(cells[4]) != "none" {
			t.Errorf("row%snames no test", cells[1])
		}
		for _, m := range shown {
			if !exists[m[1]] {
				t.Errorf("row%snames %s, which does not exist", cells[1], m[1])
			}
		}
	}
	if rows < 30 {
		t.Errorf("the table has %d rows, want one for each section", rows)
	}
}

// testNames are the tests of the module, as package and name.
func testNames(t *testing.T) map[string]bool {
	exists := map[string]bool{}
	for _, s := range sources(t) {
		for _, d := range s.syntax.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.isTest && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				exists[path.Dir(s.path)+" "+f.Name.Name] = true
			}
		}
	}
	return exists
}

// TestLessonsAreTested: every test that shows what the recordings taught exists.
func TestLessonsAreTested(t *testing.T) {
	exists := testNames(t)
	for _, l := range lessons {
		if len(l.shown) == 0 {
			t.Errorf("no test shows that %s", l.what)
		}
		for _, name := range l.shown {
			if !exists[name] {
				t.Errorf("there is no test %s, which shows: %s", name, l.what)
			}
		}
	}
}
