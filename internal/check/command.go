package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

const (
	// comeBack is the exit code that asks to be run again: EX_TEMPFAIL of sysexits.
	comeBack = 75
	// keptOutput is how much of a command's last output is kept.
	keptOutput = 8 << 10
	// killDelay is how long after its end a command's pipes may stay open.
	killDelay = 2 * time.Second
)

// passed on are the variables of Drover's own environment that a command gets: no
// secret of Drover's is among them.
var passedOn = []string{"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ"}

// call runs the command to its end. Exit code 0 passes, 75 asks to be run again,
// any other fails; a command that cannot be run, or is killed, says nothing.
func (c *Command) call(ctx context.Context, about observe.CheckSubject) outcome {
	data, err := json.Marshal(about)
	if err != nil {
		return outcome{problem: problemf(observe.CauseInvalid, "the rollout cannot be written: %v", err)}
	}
	env, secrets, problem := c.environment(about)
	if problem != nil {
		return outcome{problem: problem}
	}
	var out lastBytes
	cmd := exec.CommandContext(ctx, c.Run[0], c.Run[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, bytes.NewReader(data), &out, &out
	// Its children go with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killDelay
	err = cmd.Run()
	return commandOutcome(ctx, err, hide(out.lastLine(), secrets))
}

func commandOutcome(ctx context.Context, err error, said string) outcome {
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return outcome{problem: problemf(observe.CauseUnreachable, "the command was killed: %v", context.Cause(ctx))}
	case err == nil:
		return outcome{state: observe.CheckPassed, detail: said}
	case !errors.As(err, &exit):
		return outcome{problem: problemf(observe.CauseUnusable, "the command cannot be run: %v", err)}
	case exit.ExitCode() == comeBack:
		return outcome{state: observe.CheckRunning, detail: said}
	case exit.ExitCode() < 0:
		return outcome{problem: problemf(observe.CauseUnreachable, "the command was killed: %v", exit)}
	}
	return outcome{state: observe.CheckFailed, detail: oneLine(exit.String() + ": " + said)}
}

// environment is the command's own, with the secrets in it apart.
func (c *Command) environment(about observe.CheckSubject) (env, secrets []string, problem *observe.Problem) {
	for _, name := range passedOn {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	own := variables(about)
	for _, name := range slices.Sorted(maps.Keys(own)) {
		env = append(env, name+"="+own[name])
	}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		value, err := c.Env[name]()
		if err != nil {
			return nil, nil, problemf(observe.CauseAuth, "%v", err)
		}
		env, secrets = append(env, name+"="+value), append(secrets, value)
	}
	return env, secrets, nil
}

// hide takes secrets out of what a command said.
func hide(text string, secrets []string) string {
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, "***")
	}
	return oneLine(text)
}

// lastBytes keeps the end of what is written to it.
type lastBytes struct{ kept []byte }

// Write implements io.Writer.
func (b *lastBytes) Write(p []byte) (int, error) {
	b.kept = append(b.kept, p[max(0, len(p)-keptOutput):]...)
	if over := len(b.kept) - keptOutput; over > 0 {
		b.kept = append(b.kept[:0], b.kept[over:]...)
	}
	return len(p), nil
}

// lastLine is the last line with something on it.
func (b *lastBytes) lastLine() string {
	lines := strings.Split(strings.TrimRight(string(b.kept), " \t\r\n"), "\n")
	return lines[len(lines)-1]
}
