package deploytool

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// inWorld runs a test in a bubble with a server.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t)) })
}

// wants checks the end of a call and words of its output.
func (c called) wants(t *testing.T, code int, words ...string) {
	t.Helper()
	if c.code != code {
		t.Errorf("exit code %d, want %d\n%s%s", c.code, code, c.out, c.err)
	}
	for _, w := range words {
		if !strings.Contains(c.out+c.err, w) {
			t.Errorf("the output lacks %q:\n%s%s", w, c.out, c.err)
		}
	}
}

// TestTheWaitIsCountedInPolls: a budget of 300 s ends at the poll after 302 s, as the tool's does.
func TestTheWaitIsCountedInPolls(t *testing.T) {
	for seconds, want := range map[int]time.Duration{300: 302 * time.Second, 7: 8 * time.Second, 0: 2 * time.Second} {
		inWorld(t, func(t *testing.T, w *world) {
			c := w.call(t.Context(), func(o *Options) { o.NewImage, o.UpgradeTimeout = "team/app:sick", seconds })
			c.wants(t, 1, "timeout")
			if c.took != want {
				t.Errorf("--upgrade-timeout %d took %s, want %s", seconds, c.took, want)
			}
			w.wantActions("upgrade")
		})
	}
}

// TestInterrupted: SIGTERM rolls nothing back and says what it leaves.
func TestInterrupted(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, errors.New("terminated"))
		defer cancel()
		c := w.call(ctx, func(o *Options) {
			o.NewImage, o.RollbackOn = "team/app:sick", []string{onError, onTimeout, onUnhealthy}
		})
		c.wants(t, 1, "Interrupted", "gf-chat/parrot-rest was 'upgrading'")
		w.wantActions("upgrade")
	})
}

// TestDeadline bounds all waits together, but not the way back.
func TestDeadline(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.call(t.Context(), func(o *Options) { o.NewImage, o.Deadline = "team/app:sick", 20*time.Second })
		c.wants(t, 1, "--deadline 20s passed")
		if c.took < 20*time.Second || c.took > 23*time.Second {
			t.Errorf("took %s, want about 20 s", c.took)
		}
	})
	inWorld(t, func(t *testing.T, w *world) {
		c := w.call(t.Context(), func(o *Options) {
			o.NewImage, o.Deadline, o.UpgradeTimeout, o.RollbackOnError = "team/app:sick", 21*time.Second, 18, true
		})
		c.wants(t, 1, "rolled back to team/app:1")
	})
}

// TestRollbackOnUnhealthy does not wait for the timeout.
func TestRollbackOnUnhealthy(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.call(t.Context(), func(o *Options) { o.NewImage, o.RollbackOn = "team/app:broken", []string{onUnhealthy} })
		c.wants(t, 1, "The new version is not healthy", "manifest unknown", "rolled back to team/app:1")
		if c.took > time.Minute {
			t.Errorf("took %s, want the rollback long before the timeout", c.took)
		}
		w.wantActions("upgrade", "rollback")
		if got := w.launch("parrot-rest", "imageUuid"); got != "docker:team/app:1" {
			t.Errorf("the service runs %v", got)
		}
	})
}

// TestGate holds the finish back until the containers stayed well, and does not finish one whose containers do not.
func TestGate(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		plain := w.call(t.Context(), func(o *Options) { o.NewImage = "team/app:2" })
		gated := w.call(t.Context(), func(o *Options) { o.NewImage, o.Gate = "team/app:3", "60s" })
		plain.wants(t, 0, "Upgrade finished")
		gated.wants(t, 0, "must stay well for 1m0s", "Upgrade finished")
		if gated.took-plain.took < 50*time.Second {
			t.Errorf("with a gate of 60 s it took %s, without %s", gated.took, plain.took)
		}
	})
	inWorld(t, func(t *testing.T, w *world) {
		c := w.call(t.Context(), func(o *Options) {
			o.NewImage, o.Gate, o.RollbackOn = "team/app:2-late", "10m", []string{onUnhealthy}
			w.breakAt("upgraded", 30*time.Second)
		})
		c.wants(t, 1, "unhealthy", "rolled back to team/app:1")
		w.wantActions("upgrade", "rollback")
	})
}

// breakAt stops a new container some time after the service came to a state.
func (w *world) breakAt(state string, after time.Duration) {
	go func() {
		for w.service("parrot-rest")["state"] != state {
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(after)
		newest := w.server.Containers()
		w.server.ReportHealth(newest[len(newest)-1].ID, false)
	}()
}

// TestUpgradedWithoutContainersIsNotFinished: Rancher says upgraded after the first of two batches.
func TestUpgradedWithoutContainersIsNotFinished(t *testing.T) {
	for gate, want := range map[string]int{gateProof: 1, gateNone: 0} {
		inWorld(t, func(t *testing.T, w *world) {
			if _, err := w.server.SetFault(ranchersim.Fault{Name: ranchersim.FaultEarlyUpgraded}); err != nil {
				t.Fatal(err)
			}
			c := w.call(t.Context(), func(o *Options) { o.NewImage, o.Gate = "team/app:2", gate })
			c.wants(t, want)
			if want == 1 {
				c.wants(t, 1, "1 of 2 new containers run")
				w.wantActions("upgrade")
			}
		})
	}
}

// TestContainersThatEndByThemselves count as well when the service says so.
func TestContainersThatEndByThemselves(t *testing.T) {
	for label, want := range map[string]int{"": 1, `,"labels":{"io.rancher.container.start_once":"true"}`: 0} {
		inWorld(t, func(t *testing.T, w *world) {
			id, err := w.server.CreateService(ranchersim.ServiceSpec{
				StackID: w.stack, Name: "job", Scale: 1, Start: true,
				LaunchConfig: json.RawMessage(`{"imageUuid":"docker:team/app:1"` + label + `}`),
			})
			if err != nil {
				t.Fatal(err)
			}
			w.ids["job"] = id
			time.Sleep(30 * time.Second)
			c := w.call(t.Context(), func(o *Options) { o.Service, o.NewImage = "job", "team/app:crash" })
			c.wants(t, want)
		})
	}
}

// TestLostAnswers: a write whose answer is lost is looked for, and never sent again.
func TestLostAnswers(t *testing.T) {
	for action, wasApplied := range map[string]bool{"upgrade": true, "finishupgrade": true, "upgrade ": false} {
		inWorld(t, func(t *testing.T, w *world) {
			sent := 0
			w.before = func(rec http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.RawQuery, "action="+strings.TrimSpace(action)) {
					return false
				}
				if sent++; wasApplied {
					w.server.Handler().ServeHTTP(discard{}, r)
				}
				rec.WriteHeader(http.StatusBadGateway)
				return true
			}
			c := w.call(t.Context(), func(o *Options) { o.NewImage = "team/app:2" })
			if sent != 1 {
				t.Errorf("%s was sent %d times, want once", action, sent)
			}
			if wasApplied {
				c.wants(t, 0, "Upgrade finished")
				return
			}
			c.wants(t, 1, "answer of Rancher was lost", "Unable to request an upgrade", "502")
		})
	}
}

// discard is an answer that nobody gets.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// TestFailedReadsArePatientlyRepeated: a minute of 503 while waiting changes nothing.
func TestFailedReadsArePatientlyRepeated(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var down time.Time
		w.before = func(rec http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost && down.IsZero() {
				down = time.Now().Add(time.Minute)
				return false
			}
			if down.IsZero() || time.Now().After(down) {
				return false
			}
			rec.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		w.call(t.Context(), func(o *Options) { o.NewImage, o.UpgradeTimeout = "team/app:2", 300 }).wants(t, 0, "Upgrade finished")
		w.wantActions("upgrade", "finishupgrade")
	})
}

// TestAPersonWins: whoever changes the service meanwhile is left alone.
func TestAPersonWins(t *testing.T) {
	for name, c := range map[string]struct {
		person func(w *world)
		code   int
		words  string
	}{
		"rolls back": {func(w *world) { w.act("parrot-rest", "rollback", 0) }, 1, "somebody else changed gf-chat/parrot-rest"},
		"cancels":    {func(w *world) { w.act("parrot-rest", "cancelupgrade", 0) }, 1, "somebody else canceled"},
		"finishes": {func(w *world) {
			time.Sleep(45 * time.Second) // Until it is upgraded.
			w.act("parrot-rest", "finishupgrade", 0)
		}, 0, "Somebody else finished the upgrade"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				go func() {
					time.Sleep(3 * time.Second)
					c.person(w)
				}()
				got := w.call(t.Context(), func(o *Options) {
					o.NewImage, o.RollbackOn, o.Gate = "team/app:2", []string{onError, onTimeout, onUnhealthy}, "5m"
				})
				got.wants(t, c.code, c.words)
				if got.took > time.Minute {
					t.Errorf("noticed after %s", got.took)
				}
				w.wantActions("upgrade")
			})
		})
	}
}

// TestAdoption goes on with an upgrade to the image that is asked for, and rolls back to what ran before it.
func TestAdoption(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first := w.call(t.Context(), func(o *Options) { o.NewImage, o.UpgradeTimeout = "team/app:sick", 10 })
		first.wants(t, 1, "timeout")
		again := w.call(t.Context(), func(o *Options) {
			o.NewImage, o.UpgradeTimeout, o.RollbackOnError = "team/app:sick", 10, true
		})
		again.wants(t, 1, "is under way already", "rolled back to team/app:1")
		w.wantActions("upgrade", "rollback")
	})
}

// TestDigest pins the image that is named, or the one that runs.
func TestDigest(t *testing.T) {
	const digest = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	for image, want := range map[string]string{
		"": "docker:team/app@" + digest, "reg.example:5000/team/app:7": "docker:reg.example:5000/team/app@" + digest,
		"team/app@sha256:aaaa": "docker:team/app@" + digest,
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.call(t.Context(), func(o *Options) { o.NewImage, o.Digest, o.Wait = image, digest, false }).wants(t, 0)
			if got := w.launch("parrot-rest", "imageUuid"); got != want {
				t.Errorf("--new-image %q --digest: %v, want %s", image, got, want)
			}
		})
	}
}

// TestModesAndFiles says which variables and labels the service has afterwards.
func TestModesAndFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "vars")
	text := "# a comment\n\nA=file\nB=file\nPATH_LIKE=x=y\nDROVER_TEST_UNSET\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		options     func(*Options)
		env, labels map[string]any
	}{
		"replaced": {
			func(o *Options) {
				o.EnvFile, o.Variables, o.Variable, o.Label = file, "B=list,C=list", []Pair{{"C", "single"}}, []Pair{{"x", "y"}}
			},
			map[string]any{"A": "file", "B": "list", "C": "single", "PATH_LIKE": "x=y"},
			map[string]any{"x": "y"},
		},
		"merged": {
			func(o *Options) { o.Variables, o.Labels, o.EnvMode, o.LabelMode = "A=1", "team=chat", Merge, Merge },
			map[string]any{"MODE": "a", "A": "1"},
			map[string]any{"team": "chat", "io.rancher.x": "y"},
		},
		"left": {func(*Options) {}, map[string]any{"MODE": "a"}, map[string]any{"team": "shop", "io.rancher.x": "y"}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.call(t.Context(), func(o *Options) { o.Wait = false; c.options(o) }).wants(t, 0)
				if got := w.launch("parrot-rest", "environment"); !reflect.DeepEqual(got, any(c.env)) {
					t.Errorf("environment %v, want %v", got, c.env)
				}
				if got := w.launch("parrot-rest", "labels"); !reflect.DeepEqual(got, any(c.labels)) {
					t.Errorf("labels %v, want %v", got, c.labels)
				}
			})
		})
	}
}

// TestVerbs finishes, rolls back and cancels what is open, for whoever decides later.
func TestVerbs(t *testing.T) {
	open := func(w *world) {
		w.call(w.t.Context(), func(o *Options) { o.NewImage, o.Finish = "team/app:2", false }).wants(w.t, 0, "Service upgraded")
	}
	for verb, want := range map[Verb]struct{ words, image, state string }{
		Finish:   {"Upgrade finished", "docker:team/app:2", "active"},
		Rollback: {"rolled back to team/app:1", "docker:team/app:1", "active"},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			open(w)
			w.call(t.Context(), func(o *Options) { o.Verb = verb }).wants(t, 0, want.words)
			if image, state := w.launch("parrot-rest", "imageUuid"), w.service("parrot-rest")["state"]; image != want.image || state != want.state {
				t.Errorf("after %s the service is %v with %v", verb, state, image)
			}
			w.call(t.Context(), func(o *Options) { o.Verb = verb }).wants(t, 1, "Unable to "+string(verb))
		})
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.call(t.Context(), func(o *Options) { o.NewImage, o.UpgradeTimeout = "team/app:sick", 4 }).wants(t, 1)
		w.call(t.Context(), func(o *Options) { o.Verb = Cancel }).wants(t, 0, "Upgrade canceled")
		w.call(t.Context(), func(o *Options) { o.Verb = Rollback }).wants(t, 0, "rolled back to team/app:1")
	})
}

// TestJSON prints one object on standard output and everything else on standard error.
func TestJSON(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.call(t.Context(), func(o *Options) { o.NewImage, o.JSON = "team/app:2", true })
		c.wants(t, 0)
		var r Result
		if err := json.Unmarshal([]byte(c.out), &r); err != nil {
			t.Fatalf("%v in %s", err, c.out)
		}
		version, _ := w.launch("parrot-rest", "version").(string)
		want := Result{
			Outcome: Finished, Environment: "dev", EnvironmentID: "1a5", Stack: "gf-chat", Service: "parrot-rest", ServiceID: "1s1", State: "active",
			PreviousImage: "team/app:1", Image: "team/app:2", Version: version, Seconds: c.took.Seconds(),
		}
		if r != want {
			t.Errorf("result %+v, want %+v", r, want)
		}
		if !strings.Contains(c.err, "Upgrade finished") {
			t.Errorf("standard error %q", c.err)
		}
	})
	inWorld(t, func(t *testing.T, w *world) {
		c := w.call(t.Context(), func(o *Options) { o.Service, o.JSON = "nope", true })
		c.wants(t, 1, `"outcome": "failed"`, `"exitCode": 1`, "unable to find a service called 'nope'")
	})
	inWorld(t, func(t *testing.T, w *world) {
		if c := w.call(t.Context(), func(o *Options) { o.Stderr, o.Wait = true, false }); c.out != "" || !strings.Contains(c.err, "Upgrade started") {
			t.Errorf("--stderr printed %q and %q", c.out, c.err)
		}
	})
}

// TestCheck finds wrong uses before anything is asked.
func TestCheck(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"label mode": func(o *Options) { o.LabelMode = "both" }, "env mode": func(o *Options) { o.EnvMode = "" },
		"gate": func(o *Options) { o.Gate = "soon" }, "negative gate": func(o *Options) { o.Gate = "-1s" },
		"rollback-on": func(o *Options) { o.RollbackOn = []string{"boredom"} }, "digest": func(o *Options) { o.Digest = "sha256:xyz" },
		"deadline": func(o *Options) { o.Deadline = -1 }, "verb": func(o *Options) { o.Verb = "destroy" },
	} {
		o := Default()
		if err := o.Check(); err != nil {
			t.Fatalf("Check of the defaults: %v", err)
		}
		change(&o)
		if o.Check() == nil {
			t.Errorf("%s: Check = nil, want a complaint", name)
		}
	}
}

// TestRepository takes tag and digest off.
func TestRepository(t *testing.T) {
	for image, want := range map[string]string{
		"app": "app", "app:1": "app", "a.example:5000/app": "a.example:5000/app", "a.example:5000/app:1": "a.example:5000/app",
		"a.example:5000/app:1@sha256:aa": "a.example:5000/app",
	} {
		if got := repository(image); got != want {
			t.Errorf("repository(%q) = %q, want %q", image, got, want)
		}
	}
}
