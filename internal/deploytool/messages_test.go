package deploytool

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var update = flag.Bool("update", false, "write testdata/messages.txt anew")

// messages are calls that together say everything the tool can say; testdata/messages.txt has the words.
var messages = []struct {
	name    string
	prepare func(*world)
	options func(*Options)
}{
	{name: "URL without scheme", options: func(o *Options) { o.URL = "rancher.example" }},
	{name: "URL with credentials", options: func(o *Options) { o.URL = "http://user:hush@rancher.example" }},
	{name: "projects cannot be read", options: func(o *Options) { o.Key = "wrong" }},
	{name: "named environment not found", options: func(o *Options) { o.Environment = "prod" }},
	{name: "no environment at all", prepare: hideEnvironments},
	{name: "secret not found", options: func(o *Options) { o.SecretNames = []string{"db"} }},
	{name: "secrets cannot be read", prepare: refuse("/secrets"), options: func(o *Options) { o.SecretNames = []string{"db"} }},
	{name: "stacks cannot be read", prepare: refuse("/stacks")},
	{name: "services cannot be read", prepare: refuse("/services")},
	{name: "stack not found", options: func(o *Options) { o.Stack = "gf.chta" }},
	{name: "service not found", options: func(o *Options) { o.Service = "parrot" }},
	{name: "creation", prepare: withSecret, options: func(o *Options) {
		o.Create, o.Stack, o.Service, o.NewImage, o.HostID, o.SecretNames = true, "New", "Svc", "team/app:2", "1h1", []string{"db"}
	}},
	{name: "creation with links", options: func(o *Options) {
		o.Create, o.Service, o.NewImage, o.ServiceLinks = true, "svc", "team/app:2", "rest=Parrot-Rest,x=nope"
	}},
	{name: "creation of a stack failed", prepare: refuse("/stacks", http.MethodPost), options: func(o *Options) {
		o.Create, o.Stack, o.NewImage = true, "new", "team/app:2"
	}},
	{name: "creation of a service failed", options: func(o *Options) { o.Create, o.Service, o.NewImage = true, "under_score", "team/app:2" }},
	{name: "creation without image", options: func(o *Options) { o.Create, o.Service = true, "svc" }},
	{name: "found upgraded", prepare: func(w *world) { w.act("parrot-rest", "upgrade", time.Minute) }},
	{name: "found upgraded, kept", prepare: func(w *world) { w.act("parrot-rest", "upgrade", time.Minute) }, options: func(o *Options) { o.KeepPending = true }},
	{name: "finishing the previous one failed", prepare: func(w *world) {
		w.act("parrot-rest", "upgrade", time.Minute)
		refuse("finishupgrade", http.MethodPost)(w)
	}},
	{name: "finishing the previous one timed out", prepare: func(w *world) {
		w.act("parrot-rest", "upgrade", time.Minute)
		holdBack(w, "active", "finishing-upgrade", "finishupgrade")
	}},
	{name: "state is not active", prepare: func(w *world) { w.act("parrot-rest", "deactivate", time.Minute) }},
	{name: "upgrade refused", options: func(o *Options) { o.BatchSize = 0 }},
	{name: "upgrade refused by Rancher", prepare: refuse("action=upgrade", http.MethodPost)},
	{name: "not waiting", options: func(o *Options) { o.Wait = false }},
	{name: "wait timed out", options: func(o *Options) { o.NewImage = "team/app:broken" }},
	{name: "rollback", options: func(o *Options) { o.NewImage, o.RollbackOnError = "team/app:sick", true }},
	{name: "rollback refused", prepare: refuse("action=rollback", http.MethodPost), options: func(o *Options) { o.NewImage, o.RollbackOnError = "team/app:sick", true }},
	{name: "rollback timed out", prepare: func(w *world) { holdBack(w, "active", "rolling-back", "rollback") }, options: func(o *Options) { o.NewImage, o.RollbackOnError = "team/app:sick", true }},
	{name: "polling failed", prepare: refuseAfter("action=upgrade", "/services")},
	{name: "no finish", options: func(o *Options) { o.Finish = false }},
	{name: "all the way", options: func(o *Options) { o.NewImage = "team/app:2" }},
	{name: "finish refused", prepare: refuse("finishupgrade", http.MethodPost)},
	{name: "finish timed out", prepare: func(w *world) { holdBack(w, "active", "finishing-upgrade", "finishupgrade") }},
	{name: "debug", prepare: withSecret, options: func(o *Options) { o.Debug, o.Wait, o.SecretNames = true, false, []string{"db"} }},
	{name: "labels and variables replaced", options: func(o *Options) { o.Wait, o.Labels, o.Variables = false, "a=b", "C=d" }},
	{name: "labels and variables merged", options: func(o *Options) {
		o.Wait, o.Labels, o.Variables, o.LabelMode, o.EnvMode = false, "a=b", "C=d", Merge, Merge
	}},
	{name: "unknown sidekick", options: func(o *Options) { o.Wait, o.SidekickImages = false, []Pair{{"log", "team/log:2"}} }},
	{name: "label without value", options: func(o *Options) { o.Labels = "team" }},
	{name: "status", options: func(o *Options) { o.Verb = Status }},
	{name: "finish of nothing", options: func(o *Options) { o.Verb = Finish }},
}

// TestMessages compares every message with what testdata/messages.txt has.
func TestMessages(t *testing.T) {
	var b strings.Builder
	for _, m := range messages {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			if m.prepare != nil {
				m.prepare(w)
			}
			c := w.call(t.Context(), m.options)
			fmt.Fprintf(&b, "# %s\n%s%sexit %d\n\n", m.name, c.out, c.err, c.code)
		})
	}
	const path = "testdata/messages.txt"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, wanted := strings.Split(b.String(), "\n\n"), strings.Split(string(want), "\n\n")
	for i := range max(len(got), len(wanted)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(wanted) {
			w = wanted[i]
		}
		if g != w {
			t.Errorf("got:\n%s\n\nwant:\n%s", g, w)
		}
	}
	if strings.Contains(b.String(), "hush") {
		t.Error("a message shows credentials")
	}
}

// TestColours holds each kind of message to its colour.
func TestColours(t *testing.T) {
	var out strings.Builder
	say := newTeller(&Options{}, Streams{Out: &out, Colour: true})
	say.progress("a %d", 1)
	say.warn("b")
	say.fail(fmt.Errorf("c\x1b[2J"))
	if want := "\x1b[32ma 1\x1b[0m\n\x1b[33mb\x1b[0m\n\x1b[31mError: C [2J\x1b[0m\n"; out.String() != want {
		t.Errorf("said %q, want %q", out.String(), want)
	}
}

// refuse answers 403 to requests whose address holds the text.
func refuse(part string, methods ...string) func(*world) {
	return func(w *world) {
		w.before = func(rec http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.RequestURI(), part) || len(methods) > 0 && r.Method != methods[0] {
				return false
			}
			return forbid(rec)
		}
	}
}

// refuseAfter does so once an address was asked for.
func refuseAfter(after, part string) func(*world) {
	return func(w *world) {
		seen := false
		w.before = func(rec http.ResponseWriter, r *http.Request) bool {
			if seen && strings.Contains(r.URL.RequestURI(), part) {
				return forbid(rec)
			}
			seen = seen || strings.Contains(r.URL.RequestURI(), after)
			return false
		}
	}
}

func forbid(rec http.ResponseWriter) bool {
	rec.WriteHeader(http.StatusForbidden)
	_ = json.NewEncoder(rec).Encode(map[string]any{"type": "error", "status": 403, "code": "Forbidden"}) // A recorder takes all.
	return true
}

// holdBack hides that a service came to a state, once an action was sent: it shows another in its place.
func holdBack(w *world, state, instead, after string) {
	isArmed := false
	w.before = func(rec http.ResponseWriter, r *http.Request) bool {
		isArmed = isArmed || strings.Contains(r.URL.RawQuery, "action="+after)
		if !isArmed || r.Method != http.MethodGet || !strings.Contains(r.URL.RawQuery, "name=parrot-rest") {
			return false
		}
		_, list := w.request(http.MethodGet, r.URL.RequestURI(), "")
		s := list["data"].([]any)[0].(map[string]any)
		if s["state"] == state {
			s["state"], s["transitioningMessage"] = instead, "In Progress"
		}
		_ = json.NewEncoder(rec).Encode(list) // A recorder takes all.
		return true
	}
}

// hideEnvironments is a key that sees none.
func hideEnvironments(w *world) {
	w.before = func(rec http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/projects") {
			return false
		}
		_ = json.NewEncoder(rec).Encode(map[string]any{"type": "collection", "resourceType": "project", "data": []any{}}) // As above.
		return true
	}
}

func withSecret(w *world) {
	if status, out := w.request(http.MethodPost, "/v2-beta/projects/1a5/secrets", `{"name":"db","value":"aHVzaA=="}`); status != http.StatusCreated {
		w.t.Fatalf("creating a secret: %d %v", status, out)
	}
}
