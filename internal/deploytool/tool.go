package deploytool

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Exit codes; 2 is for wrong options, which is the caller's to say.
const (
	exitOK     = 0
	exitFailed = 1
)

// tool is one call.
type tool struct {
	o      Options
	say    *teller
	client *rancher.Client
	// host is Rancher's as the URL has it, for people.
	host string
	// signals ends with the process only, ctx of the steps with the deadline too:
	// a rollback has its own time.
	signals context.Context

	environment, stack rancher.Named
	secrets            []rancher.Named
	// services are those of the stack.
	services []rancher.Named
	// service is the one that is meant, as last read.
	service observe.Service
	// before is the service as it was when the upgrade began.
	before observe.Service
	result Result
}

// errDeadline ends the steps when --deadline has passed.
var errDeadline = errors.New("the deadline passed")

// Run makes one call and returns how it ended.
func Run(ctx context.Context, o Options, streams Streams) Result {
	t := &tool{o: o, say: newTeller(&o, streams), signals: ctx}
	err := t.run(ctx)
	t.result.State = string(t.service.State)
	if err != nil {
		t.say.fail(err)
		t.result.Error = err.Error()
		if t.result.Outcome == "" {
			t.result.Outcome = Failed
		}
	}
	if err != nil || t.result.Outcome == RolledBack && o.Verb != Rollback {
		t.result.ExitCode = exitFailed
	}
	t.say.end(&t.result)
	return t.result
}

// run goes through the steps until one has an outcome.
func (t *tool) run(ctx context.Context) error {
	if err := t.connect(); err != nil {
		return err
	}
	defer t.client.Close()
	if t.o.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, t.o.Deadline, errDeadline)
		defer cancel()
	}
	steps := []func(context.Context) error{
		t.chooseEnvironment, t.resolveSecrets, t.chooseStack, t.chooseService, t.work,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return t.explained(ctx, err)
		}
		if t.result.Outcome != "" {
			return nil
		}
	}
	return nil
}

// work is what the call is about, once the service is known.
func (t *tool) work(ctx context.Context) error {
	switch t.o.Verb {
	case Finish:
		return t.finishPending(ctx)
	case Rollback:
		return t.takeBack(ctx)
	case Cancel:
		return t.cancel(ctx)
	case Status:
		return t.status()
	case Logs:
		t.result.Outcome = Shown
		return nil
	default:
		return t.upgrade(ctx)
	}
}

// explained says of a call that was cut short what it leaves behind.
func (t *tool) explained(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	left := ""
	if t.service.ID != "" {
		left = fmt.Sprintf("; %s was '%s' when last read, and stays so or goes on in Rancher", t.name(), t.service.State)
	}
	if errors.Is(context.Cause(ctx), errDeadline) {
		return fmt.Errorf("a timeout occurred: --deadline %s passed, the upgrade is not complete%s", t.o.Deadline, left)
	}
	return fmt.Errorf("interrupted%s", left)
}

// connect makes the client, which does not ask Rancher anything yet.
func (t *tool) connect() error {
	scheme, rest, ok := strings.Cut(t.o.URL, "://")
	if !ok || strings.Contains(rest, "://") {
		return errors.New("the Rancher URL does not look right: write it as http://rancher.example:8080")
	}
	t.host = rest
	if u, err := url.Parse(t.o.URL); err == nil {
		t.host = u.Host // Without credentials, if somebody put them there.
	}
	options := rancher.Options{
		URL: scheme + "://" + rest, AccessKey: constant(t.o.Key), SecretKey: constant(t.o.Secret),
		CAFile: t.o.CAFile, Insecure: !t.o.SSLVerify, MayCreate: true, Transport: t.o.Transport,
	}
	if t.o.Debug {
		options.Trace = t.trace
	}
	var err error
	if t.client, err = rancher.New(options); err != nil {
		return fmt.Errorf("the Rancher URL does not look right: %w", err)
	}
	return nil
}

// constant is a key that does not change.
func constant(s string) func() (string, error) { return func() (string, error) { return s, nil } }

// trace tells of a request for --debug. Headers, and so the key, are not shown.
func (t *tool) trace(e rancher.Exchange) {
	what := e.Method + " " + e.Path
	if e.Query != "" {
		what += "?" + e.Query
	}
	outcome := fmt.Sprint(e.Status)
	if e.Err != nil {
		outcome = e.Err.Error()
	}
	t.say.progress("debug: %s: %s in %s", what, outcome, e.Took.Round(time.Millisecond))
}

// name is stack/service.
func (t *tool) name() string { return t.stack.Name + "/" + t.service.Name }

// timeout is --upgrade-timeout, the budget of each wait.
func (t *tool) timeout() time.Duration { return time.Duration(t.o.UpgradeTimeout) * time.Second }
