package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// TestStatusShowsWhatContainersRun: asked for and run stand side by side, and what is not known is not claimed.
func TestStatusShowsWhatContainersRun(t *testing.T) {
	const image = "docker.example:5000/team/app@sha256:9ab0c1d2e3f4a5b6c7d8"
	yes, no := true, false
	v := web.View{Target: "chat/app", Containers: []web.Container{
		{Name: "chat-app-1", Host: "1h1", State: "running", Health: "healthy", Current: true, Image: image, Runs: "sha256:1111222233334444", AsAsked: &yes},
		{Name: "chat-app-2", Host: "1h2", State: "running", Current: true, Image: "docker.example:5000/team/app:latest", Runs: "sha256:5555666677778888", AsAsked: &no},
		{Name: "chat-app-1", Host: "1h1", State: "stopped", Image: "app:1", Runs: "sha256:9999aaaabbbbcccc"},
		{Name: "chat-app-log-1", State: "running", Sidekick: "log", Current: true, Image: "log:2"},
	}}
	var out bytes.Buffer
	if err := printContainers(&out, language.English, &v); err != nil {
		t.Fatal(err)
	}
	const want = `
chat/app
CONTAINER       HOST  STATE             VERSION      ASKED FOR         RUNS
chat-app-1      1h1   running, healthy  current      app@9ab0c1d2e3f4  111122223333, as asked
chat-app-2      1h2   running           current      app:latest        555566667777, NOT what was asked for
chat-app-1      1h1   stopped           old          app:1             9999aaaabbbb
chat-app-log-1  -     running           current log  log:2             not seen yet
`
	if out.String() != want {
		t.Errorf("status prints\n%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	if err := printContainers(&out, language.English, &web.View{Target: "chat/app"}); err != nil || out.Len() != 0 {
		t.Errorf("without a look it prints %q, %v; want nothing", out.String(), err)
	}
}

// TestStatusSaysWhatWasNotDone: a decision that could not be carried out does not look
// as if it were.
func TestStatusSaysWhatWasNotDone(t *testing.T) {
	v := web.View{Target: "chat/app", Phase: reconcile.Starting, Reason: "new digest sha256:9ab0", Error: "no space left on device", Since: time.Unix(0, 0)}
	s := standing{From: fromDaemon, Targets: []web.View{v}, Problems: problemsOf(web.Health{Problems: []string{"the journal cannot be written"}}, nil)}
	var out, errOut bytes.Buffer
	if err := s.print(&out, &errOut, language.English, time.Unix(30, 0)); err != nil {
		t.Fatal(err)
	}
	if want := "new digest sha256:9ab0 (not carried out: no space left on device)\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("status prints %q, want it to end in %q", &out, want)
	}
	if want := "ALERT: the journal cannot be written\n"; errOut.String() != want {
		t.Errorf("status says %q, want %q", &errOut, want)
	}
	w := reasons{Target: v.Target}
	w.look([]web.View{v})
	out.Reset()
	w.print(&out, language.English, time.Unix(30, 0))
	if want := "could not be carried out: no space left on device"; !strings.Contains(out.String(), want) {
		t.Errorf("why says %q, want %q in it", &out, want)
	}
}

// TestStatusSaysThatLayersWereTakenBack: for as long as such a rollout is open, after
// its first reason, which says so itself; in Chinese too.
func TestStatusSaysThatLayersWereTakenBack(t *testing.T) {
	rollout := &web.Rollout{ID: "app-1", SameLayers: []string{"sha256:9ab0c1d2e3f4a5b6c7d8"}}
	v := web.View{Phase: reconcile.Bake, Reason: "every gate holds so far", Rollout: rollout}
	if got, want := reasonOf(language.English, &v), "every gate holds so far (same layers as quarantined 9ab0c1d2e3f4)"; got != want {
		t.Errorf("status says %q, want %q", got, want)
	}
	if got, want := reasonOf(language.Chinese, &v), "every gate holds so far（与被隔离的 9ab0c1d2e3f4 镜像层相同）"; got != want {
		t.Errorf("status says %q, want %q", got, want)
	}
	v.Phase, v.Reason = reconcile.Starting, "new digest; same layers as quarantined sha256:9ab0c1d2e3f4"
	if got := reasonOf(language.English, &v); got != v.Reason {
		t.Errorf("status says %q, want %q", got, v.Reason)
	}
	v.Rollout = &web.Rollout{ID: "app-2"}
	if got := reasonOf(language.English, &v); got != v.Reason {
		t.Errorf("of another one status says %q, want %q", got, v.Reason)
	}
	var out bytes.Buffer
	(&rolloutReason{Rollout: *rollout}).print(&out, language.English)
	if want := "layers   the same as of quarantined 9ab0c1d2e3f4\n"; !strings.Contains(out.String(), want) {
		t.Errorf("why says %q, want %q in it", &out, want)
	}
}
