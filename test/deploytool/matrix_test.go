package deploytool

import (
	"net/http"
	"strings"
	"sync/atomic"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// aspect is one of the four things that are compared.
type aspect string

const (
	changes  aspect = "requests that change something"
	final    aspect = "final state"
	exitCode aspect = "exit code"
	words    aspect = "outcome words"
)

// trial is one cell of the matrix: options, and what the server is like.
type trial struct {
	name string
	args []string
	env  []string
	// prepare brings a twin to where the tool finds it.
	prepare func(*twin)
	// deviates is the row of the page's table that says why ours differs, differs in
	// what it does.
	deviates string
	differs  []aspect
	// ours are words that our output must hold.
	ours []string
}

const (
	app       = "registry.example/team/app"
	goodImage = app + ":2"
	digestB   = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// args splits a command line without quotes.
func args(line string) []string { return strings.Fields(line) }

// never is the service whose upgrades never complete, with a short wait.
func never(more string) []string { return args("--service never --upgrade-timeout 4 " + more) }

// matrix is options by states.
var matrix = []trial{
	{name: "plain"},
	{name: "new image", args: args("--new-image " + goodImage)},
	{name: "digest, start first", args: args("--new-image " + app + "@" + digestB + " --start-before-stopping --batch-size 2 --batch-interval 1")},
	{name: "option twice, and off again", args: args("--start-before-stopping --no-start-before-stopping --batch-size 1 --batch-size=2")},
	{name: "no finish", args: args("--no-finish-upgrade --new-image " + goodImage)},
	{name: "no wait", args: args("--no-wait-for-upgrade-to-finish --new-image " + goodImage)},
	{name: "no wait, rollback asked for", args: never("--no-wait-for-upgrade-to-finish --rollback-on-error")},
	{name: "all sidekicks", args: args("--service with-side --sidekicks")},
	{name: "all sidekicks, one new", args: args("--service with-side --sidekicks --new-sidekick-image log " + goodImage)},
	{name: "primary only", args: args("--service with-side --new-image " + goodImage)},
	{
		name: "one new sidekick", args: args("--service with-side --new-sidekick-image log " + goodImage),
		deviates: "sidekicks", differs: []aspect{changes, final},
	},
	{
		name: "sidekick of another name", args: args("--service with-side --new-sidekick-image nope " + goodImage),
		deviates: "sidekicks", differs: []aspect{changes, final}, ours: []string{"no sidekick 'nope'"},
	},
	{
		name: "labels", args: args("--labels team=chat,tier=web --label tier api --label=note a=b"),
		ours: []string{"WARNING", "io.rancher.container.pull_image", "--label-mode merge"},
	},
	{name: "labels with a separator", args: args("--labels team=a,b;tier=web --rancher-label-separator ;")},
	{name: "label separator of the environment", args: args("--labels team=a,b|tier=web"), env: []string{"RANCHER_LABEL_SEPARATOR=|"}},
	{
		name: "variables", args: args("--variables A=1,B=2=3 --variable B x"), ours: []string{"WARNING", "APP_MODE"},
	},
	{name: "label without value", args: args("--labels team"), deviates: "lists", differs: []aspect{words}, ours: []string{`"team" is not key=value`}},
	{name: "empty list of labels", args: []string{"--labels", ""}, deviates: "lists", differs: []aspect{changes, final, exitCode, words}},

	{name: "timeout", args: never("")},
	{name: "timeout and rollback", args: never("--rollback-on-error --new-image " + goodImage)},
	{name: "timeout 0", args: args("--service never --upgrade-timeout 0")},
	{name: "broken image", args: args("--upgrade-timeout 4 --rollback-on-error --new-image " + app + ":broken"), ours: []string{"manifest unknown"}},

	{name: "unknown service", args: args("--service nope"), ours: []string{"parrot-rest"}},
	{name: "unknown stack", args: args("--stack nope")},
	{name: "unknown environment", args: args("--environment nope"), ours: []string{"dev"}},
	{name: "environment by name", args: args("--environment DEV")},
	{name: "environment by id", args: args("--environment 1A5")},
	{name: "any case, dots", args: args("--stack ST.Parrot.Rest --service Parrot.REST")},

	{name: "create both", args: args("--stack New.Stack --service New.Svc --create --new-image " + goodImage +
		" --labels a=b --variable C d --secret db --host-id 1h1"), prepare: withSecret},
	{
		name: "create the service", args: args("--service extra --create --new-image " + goodImage + " --service-links db=Parrot-Rest,x=nope --service-link log with-side"),
		ours: []string{"has no service 'nope'"},
	},
	{name: "create, and it is there", args: args("--create --new-image " + goodImage)},
	{name: "create, bad name", args: args("--service no_underscores --create --new-image " + goodImage)},
	{name: "create without image", args: args("--service extra --create"), deviates: "no-image", differs: []aspect{changes, final, exitCode, words}},
	{name: "unknown secret", args: args("--secret nope")},
	{name: "list of secrets", args: args("--secrets db=,"), prepare: withSecret, deviates: "lists", differs: []aspect{changes, final, exitCode, words}},
	{name: "list of secrets as the tool wants it", args: args("--secrets db=x"), prepare: withSecret},

	{name: "found upgraded", args: args("--new-image " + goodImage), prepare: upgraded},
	{name: "found upgraded, no finish", args: args("--no-finish-upgrade"), prepare: upgraded},
	{
		name: "found upgraded, kept", env: []string{"OURS=--keep-pending"}, prepare: upgraded,
		deviates: "new-options", differs: []aspect{changes, final, exitCode, words}, ours: []string{"--keep-pending leaves alone"},
	},
	{name: "found upgrading", args: args("--service never"), prepare: upgrading},
	{name: "found upgrading to another image", args: args("--service never --new-image " + app + ":3"), prepare: upgrading},
	{
		name: "found upgrading to the same image", args: never("--new-image " + goodImage), prepare: upgrading,
		deviates: "adopt", differs: []aspect{words}, ours: []string{"under way already", "timeout"},
	},
	{name: "found inactive", args: args("--new-image " + goodImage), prepare: func(w *twin) {
		w.act("parrot-rest", "deactivate", "")
		w.awaitState("parrot-rest", "inactive")
	}},
	{name: "found canceled", args: args("--service never"), prepare: func(w *twin) {
		upgrading(w)
		w.awaitRunning("never", goodImage) // Canceled before or after that, what is left differs.
		w.act("never", "cancelupgrade", "")
		w.awaitState("never", "canceled-upgrade")
	}},
	{
		name: "found activating, its image broken", args: args("--service sick --new-image " + goodImage), prepare: activating,
		deviates: "states", differs: []aspect{changes, final, exitCode, words},
	},

	{name: "wrong key", env: []string{"RANCHER_ACCESS_KEY=wrong"}},
	{name: "key that may only read", prepare: func(w *twin) {
		w.server.AddKey(ranchersim.Key{Access: "READER", Secret: "r", Kind: ranchersim.ReadOnlyKey, Project: w.server.ProjectID()})
	}, env: []string{"RANCHER_ACCESS_KEY=READER", "RANCHER_SECRET_KEY=r"}, args: args("--environment dev")},
	{name: "account key", prepare: func(w *twin) {
		w.server.AddProject("second")
		w.server.AddKey(ranchersim.Key{Access: "USER", Secret: "u", Kind: ranchersim.AccountKey})
	}, env: []string{"RANCHER_ACCESS_KEY=USER", "RANCHER_SECRET_KEY=u"}, ours: []string{"no --environment was named"}},
	{name: "two environments of one name: the last", prepare: func(w *twin) {
		w.server.AddProject("DEV")
		w.server.AddKey(ranchersim.Key{Access: "USER", Secret: "u", Kind: ranchersim.AccountKey})
	}, env: []string{"RANCHER_ACCESS_KEY=USER", "RANCHER_SECRET_KEY=u"}, args: args("--environment dev")},
	{
		name: "key of a container", prepare: func(w *twin) {
			w.server.AddKey(ranchersim.Key{Access: "AGENT", Secret: "a", Kind: ranchersim.AgentKey, Project: w.server.ProjectID()})
		}, env: []string{"RANCHER_ACCESS_KEY=AGENT", "RANCHER_SECRET_KEY=a"},
		deviates: "hidden-secrets", differs: []aspect{changes, final, exitCode, words}, ours: []string{"hides Rancher secrets"},
	},
	{name: "URL without scheme", args: args("--rancher-url rancher.example:8080")},
	{name: "URL with two schemes", args: args("--rancher-url http://http://rancher.example"), deviates: "url", differs: []aspect{words}},
	{name: "URL that ends in /v1", args: args("--rancher-url SERVER/v1"), deviates: "url", differs: []aspect{changes, final, exitCode, words}},
	{name: "nobody there", args: args("--rancher-url http://127.0.0.1:1"), deviates: "stack-traces", differs: []aspect{words}, ours: []string{"Unable to connect to Rancher at 127.0.0.1:1"}},
	{name: "debug", args: args("--debug --secret db"), prepare: withSecret},

	{name: "batch size 0", args: args("--batch-size 0")},
	{name: "interval below Rancher's", args: args("--batch-interval 0")},
	{name: "start first with kept addresses", args: args("--start-before-stopping"), prepare: func(w *twin) {
		w.call(http.MethodPut, w.path("parrot-rest"), `{"retainIp":true}`)
		w.awaitState("parrot-rest", "active")
	}},
	{
		name: "digest that is none", args: args("--new-image " + app + "@sha256:nothex"),
		deviates: "bad-image", differs: []aspect{changes, final, exitCode, words}, ours: []string{"no image reference"},
	},

	{name: "unknown option", args: args("--nosuch")},
	{name: "size that is no number", args: args("--batch-size two")},
	{name: "number as Python writes it", args: []string{"--batch-size", " +0_2 "}},
	{name: "option without argument", args: args("--new-image")},
	{name: "pair with one word", args: args("--label team")},
	{name: "argument too many", args: args("nosuch")},
	{name: "missing option", env: []string{"RANCHER_URL="}, ours: []string{"Usage:", "RANCHER_URL"}},
	{name: "help", args: args("--help"), ours: []string{"Usage:", "--new-sidekick-image"}},

	{
		name: "one failed read", prepare: failedRead, args: args("--new-image " + goodImage),
		deviates: "failed-reads", differs: []aspect{changes, final, exitCode, words},
	},
	{
		name: "somebody rolls back", args: args("--service never --upgrade-timeout 8 --rollback-on-error"), prepare: somebodyRollsBack,
		deviates: "taken-over", differs: []aspect{words}, ours: []string{"somebody else changed st-parrot-rest/never"},
	},
	{
		name: "upgraded too early", args: args("--upgrade-timeout 4 --new-image " + goodImage), prepare: func(w *twin) {
			if _, err := w.server.SetFault(ranchersim.Fault{Name: ranchersim.FaultEarlyUpgraded}); err != nil {
				w.t.Fatal(err)
			}
		},
		deviates: "proof", differs: []aspect{changes, final, exitCode, words}, ours: []string{"1 of 2 new containers run"},
	},
	{
		name: "upgraded too early, gate off", args: args("--new-image " + goodImage), env: []string{"OURS=--gate none"}, prepare: func(w *twin) {
			if _, err := w.server.SetFault(ranchersim.Fault{Name: ranchersim.FaultEarlyUpgraded}); err != nil {
				w.t.Fatal(err)
			}
		},
	},
}

func withSecret(w *twin) {
	if status, out := w.call(http.MethodPost, "/v2-beta/projects/"+w.server.ProjectID()+"/secrets", `{"name":"db","value":"aHVzaA=="}`); status != http.StatusCreated {
		w.t.Fatalf("creating a secret: %d %v", status, out)
	}
}

// upgraded leaves the service with an upgrade to be finished.
func upgraded(w *twin) {
	w.upgradeTo("parrot-rest", app+":0")
	w.awaitState("parrot-rest", "upgraded")
}

// upgrading leaves a service with an upgrade that never completes.
func upgrading(w *twin) {
	w.upgradeTo("never", goodImage)
	w.awaitState("never", "upgrading")
}

// activating leaves a service that never came up.
func activating(w *twin) {
	id, err := w.server.CreateService(ranchersim.ServiceSpec{
		StackID: w.stack, Name: "sick", Scale: 1, Start: true, LaunchConfig: []byte(`{"imageUuid":"docker:` + app + `:broken"}`),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.ids["sick"] = id
	w.awaitState("sick", "activating")
}

// failedRead answers the first read after the upgrade began with 503, and our client's own repetitions of it too.
func failedRead(w *twin) {
	var left atomic.Int32
	w.intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && strings.Contains(r.URL.RawQuery, "action=upgrade") {
			left.Store(3)
			return false
		}
		if r.Method != http.MethodGet || left.Add(-1) < 0 {
			return false
		}
		http.Error(rw, "<html>no upstream</html>", http.StatusServiceUnavailable)
		return true
	})
}

// somebodyRollsBack takes the upgrade back when the tool reads for the first time after it began it.
func somebodyRollsBack(w *twin) {
	var began, done atomic.Bool
	w.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && strings.Contains(r.URL.RawQuery, "action=upgrade") {
			began.Store(true)
		} else if r.Method == http.MethodGet && began.Load() && done.CompareAndSwap(false, true) {
			w.act("never", "rollback", "")
		}
		return false
	})
}
