package deploytool

import (
	"context"
	"errors"
	"fmt"

	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
)

// errNoImage is why nothing is created; the tool would create docker:None.
var errNoImage = errors.New("unable to create a service without --new-image")

// createStack creates the stack that is missing.
func (t *tool) createStack(ctx context.Context, name string) error {
	if err := t.checkCreation(); err != nil {
		return err
	}
	t.say.progress("Creating stack %s in environment %s...", name, t.environment.Name)
	var err error
	if t.stack, err = t.client.CreateStack(ctx, name); err != nil {
		return fmt.Errorf("unable to create stack %s: %w", name, err)
	}
	return nil
}

// createService creates the service that is missing, with its links, and does not
// wait for it to run.
func (t *tool) createService(ctx context.Context, name string) error {
	if err := t.checkCreation(); err != nil {
		return err
	}
	labels, _ := t.o.labels() // They were checked.
	variables, _ := t.o.variables()
	links, _ := t.o.links()
	if t.o.HostID != "" {
		t.say.progress("Scheduled host %s", t.o.HostID)
	}
	t.result.Service, t.result.Image = name, t.image("")
	t.say.progress("Creating service %s in environment %s with image %s...", name, t.environment.Name, t.result.Image)
	t.client.Allow(rancher.Key{Stack: t.stack.Name, Service: name})
	s, err := t.client.CreateService(ctx, rancher.NewService{
		Stack: t.stack, Name: name, Image: t.result.Image, Labels: labels, Environment: variables,
		Secrets: t.secrets, HostID: t.o.HostID,
	})
	if err != nil {
		return fmt.Errorf("unable to create service %s: %w", name, err)
	}
	t.take(s)
	if err := t.link(ctx, links); err != nil {
		return err
	}
	t.say.progress("Creation finished")
	t.result.Outcome = Created
	return nil
}

// checkCreation finds what is wrong before the stack is there and the service not.
func (t *tool) checkCreation() error {
	_, errLabels := t.o.labels()
	_, errVariables := t.o.variables()
	_, errLinks := t.o.links()
	if err := errors.Join(errLabels, errVariables, errLinks); err != nil {
		return err
	}
	switch image := t.image(""); {
	case image == "":
		return errNoImage
	case !rancher.IsImage(image):
		return fmt.Errorf("unable to create a service: '%s' is no image reference", image)
	}
	return nil
}

// link sets the links to services of the same stack.
func (t *tool) link(ctx context.Context, wanted []Pair) error {
	var links []rancher.ServiceLink
	for _, p := range wanted {
		target, found := first(t.services, p.Value)
		if !found {
			t.say.warn("service link %s is left out: the stack '%s' has no service '%s'", p.Key, t.stack.Name, p.Value)
			continue
		}
		links = append(links, rancher.ServiceLink{Name: p.Key, ServiceID: target.ID})
	}
	if len(links) == 0 {
		return nil
	}
	t.say.progress("Setting service links of service %s in environment %s...", t.service.Name, t.environment.Name)
	if err := t.client.SetServiceLinks(ctx, t.service.ID, links); err != nil {
		return fmt.Errorf("unable to create service %s with its links: %w", t.service.Name, err)
	}
	t.say.progress("Service links set")
	return nil
}
