//go:build cast

package main

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

// Recording takes a minute and writes into the repository, so it is no test of every
// run: `make cast` builds it in.

var recordTo = flag.String("cast", "", "record the demo anew into this file")

func newTape(h castHeader) *tape {
	tp := &tape{begun: time.Now()}
	_ = json.NewEncoder(&tp.lines).Encode(h) // A buffer takes everything.
	return tp
}

// output records what was written to the terminal.
func (tp *tape) output(b []byte) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	b = append(tp.left, b...)
	end := len(b)
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if utf8.RuneStart(b[len(b)-i]) {
			if !utf8.FullRune(b[len(b)-i:]) {
				end = len(b) - i
			}
			break
		}
	}
	tp.left = slices.Clone(b[end:])
	tp.event("o", string(b[:end]))
}

// TestRecordCast plays the story for a recording.
func TestRecordCast(t *testing.T) {
	if *recordTo == "" {
		t.Fatal("name the file with -cast")
	}
	target, err := filepath.Abs(*recordTo)
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "drover"), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b := newStory(t, 15)
	stop := b.daemon()
	b.awaitStatus(`"nothing-to-do"`)
	d := newDesk(t, castWidth, castHeight)
	d.tape = newTape(castHeader{2, castWidth, castHeight, "drover: push, watch, decide", 2})
	d.Tape(d.tape.output)
	shell := shellAt(t, d, b.dir, bin)
	playCast(d, b)
	if err := shell.Wait(); err != nil {
		t.Errorf("the shell ends with %v", err)
	}
	if code := stop(); code != exitOK {
		t.Errorf("drover run ends with %d", code)
	}
	if err := os.WriteFile(target, d.tape.lines.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// shellAt is a shell whose terminal is the desk's.
func shellAt(t *testing.T, d *desk, dir, bin string) *exec.Cmd {
	t.Helper()
	c := exec.Command("bash", "--norc", "--noprofile", "-i")
	c.Dir = dir
	c.Stdin, c.Stdout, c.Stderr = d.TTY, d.TTY, d.TTY
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	c.Env = []string{
		"PATH=" + bin + ":/usr/bin:/bin", "HOME=" + dir, "USER=jo", "TERM=xterm-256color", "LC_ALL=C.UTF-8", "PS1=$ ",
		"DROVER_CONFIG=targets.yaml", "HISTFILE=", "BASH_SILENCE_DEPRECATION_WARNING=1",
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	return c
}

// playCast is the story: a push that is finished by a key, one that is rolled back
// by a key, and one that Drover takes back by itself.
func playCast(d *desk, b *bench) {
	d.sees(&b.said, "$")
	d.types("drover watch parrot-rest --by jo\n")
	d.sees(&b.said, "waiting for a push of parrot-rest:latest")
	d.pause(2)
	d.milestone("waiting")
	d.tape.mark("CI pushes a new image")
	b.push("log=listening on 8080 with release 2")
	d.sees(&b.said, "release 2")
	d.sees(&b.said, "baking")
	d.pause(4)
	d.decide(&b.said, "f", "finish gf-chat/parrot-rest?", "FINISHED after")
	d.pause(3)
	d.tape.mark("CI pushes an image that a person does not like")
	b.push("log=ERROR no translations found in release 3")
	d.sees(&b.said, "release 3")
	d.pause(1)
	d.Press("e")
	d.pause(2)
	d.Press("e")
	d.sees(&b.said, "baking")
	d.decide(&b.said, "r", "rollback gf-chat/parrot-rest?", "ROLLED BACK after")
	d.pause(3)
	d.tape.mark("CI pushes an image that fails one request in five")
	b.push("errors=20%")
	d.sees(&b.said, ": load balancer: ") // Why, behind the outcome.
	d.pause(4)
	d.Press("q")
	d.sees(&b.said, "gf-chat/parrot-rest: rolled-back")
	d.types("drover history parrot-rest | cut -c 1-100\n")
	d.pause(2)
	d.types("drover why parrot-rest | tail -n 22 | cut -c 1-100\n")
	d.pause(4)
	d.types("exit\n")
}

// types writes as a person does.
func (d *desk) types(text string) {
	for _, r := range text {
		d.Press(string(r))
		time.Sleep(40 * time.Millisecond)
	}
}

// pause lets who watches the recording read.
func (d *desk) pause(seconds int) { time.Sleep(time.Duration(seconds) * time.Second) }
