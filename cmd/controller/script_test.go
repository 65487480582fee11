package main

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"gitlab.gf.com.cn/clickeggs/drover/internal/sandbox"
)

var update = flag.Bool("update", false, "write docs/cli.md anew")

// scratch is a folder that all tests share; it goes when they are over.
var scratch string

// tidy runs tests and leaves nothing behind.
type tidy struct{ m *testing.M }

// Run implements testscript.TestingM.
func (t tidy) Run() int {
	var err error
	if scratch, err = os.MkdirTemp("", "drover-tests"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(scratch)
	// What is drawn on a terminal is for one that can: set here, because tests that
	// run beside each other cannot set it.
	if err := os.Setenv("TERM", "xterm-256color"); err != nil {
		panic(err)
	}
	// Tests of whole rollouts wait for nearly all of their time: twice as many as there
	// are processors leave half of two processors idle.
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := f.Value.Set(strconv.Itoa(2 * runtime.GOMAXPROCS(0))); err != nil {
			panic(err)
		}
	}
	return t.m.Run()
}

func TestMain(m *testing.M) {
	testscript.Main(tidy{m}, map[string]func(){"drover": main})
}

// TestScripts runs the commands as a person would: what they print, and their
// exit codes.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("USER", "jo")
			// With the race detector each command would sleep a second at its end.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "sandbox": startSandbox, "upgrade": upgradeSandbox, "await": awaitFile, "recorded": recorded, "edit": edit, "interrupt": interrupt, "expand": expand,
		},
	})
}

// exits runs drover and expects an exit code, which testscript itself cannot:
// exits 3 drover plan.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE drover ARGUMENTS...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("%s ends with %s, want %s", strings.Join(args[1:], " "), got, args[0])
	}
}

// interrupt runs drover until what it says matches, interrupts it and expects an
// exit code; a program that ends before by itself is as good where the pattern is
// its last word: interrupt 130 PATTERN drover wait api.
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: interrupt CODE PATTERN drover ARGUMENTS...")
	}
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	said := &transcript{}
	program := exec.Command(filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], args[2]), args[3:]...)
	program.Dir, program.Stdout, program.Stderr = ts.MkAbs("."), said, said
	for _, name := range []string{"PATH", "HOME", "USER", "GORACE", variableURL, variableEnvironment, variableAccessKey, variableSecretKey, "KEY", "SECRET"} {
		program.Env = append(program.Env, name+"="+ts.Getenv(name))
	}
	ts.Check(program.Start())
	ended := make(chan error, 1)
	go func() { ended <- program.Wait() }()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for wasSent := false; ; {
		select {
		case <-ended:
			if got := program.ProcessState.ExitCode(); strconv.Itoa(got) != args[0] || !pattern.MatchString(said.String()) {
				ts.Fatalf("%s ends with %d, want %s after %q:\n%s", strings.Join(args[2:], " "), got, args[0], args[1], said)
			}
			ts.Logf("%s", said)
			return
		case <-tick.C:
			if !wasSent && pattern.MatchString(said.String()) {
				wasSent = true
				ts.Check(program.Process.Signal(os.Interrupt))
			}
		case <-deadline:
			_ = program.Process.Kill()
			ts.Fatalf("%s never said %q, or did not end:\n%s", strings.Join(args[2:], " "), args[1], said)
		}
	}
}

// expand fills the variables of a file in: expand FILE TO.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: expand FILE TO")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(os.Expand(ts.ReadFile(args[0]), ts.Getenv)), 0o600))
}

// startSandbox starts a world for the script, and sets the variables that say
// where its Rancher is: sandbox [BEHAVIOUR].
func startSandbox(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: sandbox [BEHAVIOUR]")
	}
	w, err := sandbox.Start(context.Background(), fastWorld(strings.Join(args, "")))
	ts.Check(err)
	ts.Defer(func() { ts.Check(w.Close()) })
	worlds.Store(ts, w)
	for _, variable := range rancherEnv(w.Info()) {
		name, value, _ := strings.Cut(variable, "=")
		ts.Setenv(name, value)
	}
}

// fastWorld is a sandbox whose containers behave so.
func fastWorld(behaviour string) sandbox.Options {
	return sandbox.Options{Behaviour: behaviour, Speed: 20, CheckInterval: 50 * time.Millisecond}
}

// worlds are those of running scripts.
var worlds sync.Map

// upgradeSandbox has Rancher roll an image out: upgrade BEHAVIOUR.
func upgradeSandbox(ts *testscript.TestScript, neg bool, args []string) {
	w, ok := worlds.Load(ts)
	if neg || !ok || len(args) != 1 {
		ts.Fatalf("usage, after sandbox: upgrade BEHAVIOUR")
	}
	ts.Check(upgrade(context.Background(), w.(*sandbox.World), args[0]))
}

// awaitFile waits until a file that is being written has a line that matches:
// await FILE PATTERN.
func awaitFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE PATTERN")
	}
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && pattern.Match(text) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s never matched %q:\n%s", args[0], args[1], text)
		}
	}
}
