package deploytool

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// chooseEnvironment takes the one that was named by id or name in any case, the
// last that matches, or the first that the key sees.
func (t *tool) chooseEnvironment(ctx context.Context) error {
	all, err := t.client.Environments(ctx)
	if err != nil {
		return fmt.Errorf("unable to connect to Rancher at %s, are URL and API key right? %w", t.host, err)
	}
	var chosen *rancher.Named
	for i := range all {
		isNamed := strings.EqualFold(all[i].ID, t.o.Environment) || strings.EqualFold(all[i].Name, t.o.Environment)
		if t.o.Environment != "" && isNamed || t.o.Environment == "" && chosen == nil {
			chosen = &all[i]
		}
	}
	switch {
	case chosen == nil && t.o.Environment == "":
		return errors.New("no environment in Rancher matches: the key sees none")
	case chosen == nil:
		return fmt.Errorf("the environment '%s' does not exist in Rancher, or the key cannot see it; it sees %s", t.o.Environment, names(all))
	case t.o.Environment == "" && len(all) > 1:
		t.say.warn("no --environment was named: taking the first of %s", names(all))
	}
	t.environment = *chosen
	t.client.UseEnvironment(chosen.ID)
	t.result.Environment, t.result.EnvironmentID = chosen.Name, chosen.ID
	return nil
}

// maxNames bounds how many names a message lists.
const maxNames = 10

// names lists what there is, for a person who mistyped.
func names(all []rancher.Named) string {
	if len(all) == 0 {
		return "none"
	}
	var list []string
	for i, n := range all {
		if i == maxNames {
			list = append(list, fmt.Sprintf("and %d more", len(all)-i))
			break
		}
		list = append(list, n.Name)
	}
	return strings.Join(list, ", ")
}

// resolveSecrets finds the ids of the secrets, which an unknown name stops even
// where nothing is created.
func (t *tool) resolveSecrets(ctx context.Context) error {
	for _, name := range t.o.secretNames() {
		secret, err := t.client.Secret(ctx, name)
		switch {
		case err != nil:
			return fmt.Errorf("unable to connect to Rancher at %s to find secret %s: %w", t.host, name, err)
		case secret.ID == "":
			return fmt.Errorf("cannot find secret %s in environment %s", name, t.environment.ID)
		}
		if t.o.Debug {
			t.say.progress("secret query result: %s is %s", secret.Name, secret.ID)
		}
		t.secrets = append(t.secrets, secret)
	}
	return nil
}

// dashes is how GitLab's names become Rancher's.
func dashes(name string) string { return strings.ReplaceAll(name, ".", "-") }

// first is the first with a name, in any case.
func first(all []rancher.Named, name string) (rancher.Named, bool) {
	for _, n := range all {
		if strings.EqualFold(n.Name, name) {
			return n, true
		}
	}
	return rancher.Named{}, false
}

// chooseStack finds the stack, or creates it.
func (t *tool) chooseStack(ctx context.Context) error {
	all, err := t.client.Stacks(ctx)
	if err != nil {
		return fmt.Errorf("unable to list the stacks in the environment '%s', does the key have the permissions? %w", t.environment.Name, err)
	}
	name := dashes(t.o.Stack)
	found := false
	if t.stack, found = first(all, name); !found {
		if !t.mayCreate() {
			return fmt.Errorf("unable to find a stack called '%s' in the environment '%s'; there are %s", name, t.environment.Name, names(all))
		}
		if err := t.createStack(ctx, strings.ToLower(name)); err != nil {
			return err
		}
	}
	t.result.Stack = t.stack.Name
	return nil
}

// mayCreate says whether what is missing is created.
func (t *tool) mayCreate() bool { return t.o.Create && t.o.Verb == Deploy }

// chooseService finds the service and reads it, or creates it.
func (t *tool) chooseService(ctx context.Context) error {
	all, err := t.client.Services(ctx, t.stack)
	if err != nil {
		return fmt.Errorf("unable to list the services in the stack '%s' of the environment '%s', does the key have the permissions? %w",
			t.stack.Name, t.environment.Name, err)
	}
	t.services = all
	name := dashes(t.o.Service)
	chosen, found := first(all, name)
	if !found {
		if !t.mayCreate() {
			return fmt.Errorf("unable to find a service called '%s' in the stack '%s'; there are %s", name, t.stack.Name, names(all))
		}
		return t.createService(ctx, strings.ToLower(name))
	}
	t.client.Allow(rancher.Key{Stack: t.stack.Name, Service: chosen.Name})
	s, err := t.read(ctx, chosen.Name)
	if err != nil {
		return err
	}
	t.take(s)
	return nil
}

// read reads a service of the stack.
func (t *tool) read(ctx context.Context, name string) (observe.Service, error) {
	s := t.client.Service(ctx, t.stack.Name, name)
	if s.Problem != nil {
		return s, &unreadError{s.Problem}
	}
	return s, nil
}

// take remembers what was read last.
func (t *tool) take(s observe.Service) {
	t.service = s
	t.result.Service, t.result.ServiceID = s.Name, s.ID
}

// unreadError says that the service could not be read.
type unreadError struct{ problem *observe.Problem }

// Error is for people.
func (e *unreadError) Error() string {
	return "unable to read the service status from Rancher: " + e.problem.Message
}

// mayPass says that reading again may help: nobody answered, or something between
// did.
func (e *unreadError) mayPass() bool {
	return e.problem.Cause == observe.CauseUnreachable || e.problem.Cause == observe.CauseInvalid
}
