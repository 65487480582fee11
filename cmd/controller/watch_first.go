package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

const (
	// firstEvery is the pause between two looks for the first rollout of several
	// services: one request to the daemon, or one listing of Rancher's services.
	firstEvery = 2 * time.Second
	// firstTimeout bounds one look.
	firstTimeout = 10 * time.Second
	// keysShown is how many services a sentence names.
	keysShown = 5
)

// first waits until a rollout of one of several services is under way, and takes
// the one that began last when there are more.
type first struct {
	r    *reach
	keys []string
	out  io.Writer
	said string
}

// underWay is a service with a rollout.
type underWay struct {
	key     string
	started time.Time
}

// firstOf waits for the first rollout of these services. What fails is told and
// tried again: a daemon or a Rancher that restarts does not end it.
func (r *reach) firstOf(cmd *cobra.Command, subjects []operator.Subject) (operator.Subject, error) {
	f := &first{r: r, out: cmd.ErrOrStderr()}
	for i := range subjects {
		f.keys = append(f.keys, subjects[i].Key())
	}
	f.tell(r.o.language.Sprintf("waiting for the first rollout of %d services: %s; Ctrl-C ends it", len(f.keys), f.some(f.keys)))
	tick := time.NewTicker(firstEvery)
	defer tick.Stop()
	for {
		found, err := f.look(cmd.Context())
		switch {
		case len(found) > 0:
			return f.take(subjects, found), nil
		case isRefusedKey(err):
			return operator.Subject{}, err
		case err != nil:
			f.tell(r.o.language.Sprintf("cannot see any rollout now: %s", oneLine(err.Error())))
		default:
			f.tell(r.o.language.Sprintf("no rollout is under way"))
		}
		select {
		case <-cmd.Context().Done():
			return operator.Subject{}, &exitError{exitInterrupted, r.o.language.Errorf("stopped waiting; no rollout had begun")}
		case <-tick.C:
		}
	}
}

// tell says something once, until it is something else.
func (f *first) tell(text string) {
	if key := withoutFigures(text); key != f.said {
		f.said = key
		fmt.Fprintln(f.out, text)
	}
}

// take is the rollout that began last, and says which others there are.
func (f *first) take(subjects []operator.Subject, found []underWay) operator.Subject {
	slices.SortStableFunc(found, func(a, b underWay) int { return b.started.Compare(a.started) })
	key := found[0].key
	if len(found) > 1 {
		var others []string
		for _, u := range found[1:] {
			others = append(others, u.key)
		}
		f.tell(f.r.o.language.Sprintf("%d rollouts are under way: this is %s; `drover watch` shows another by its name: %s", len(found), key, f.some(others)))
	}
	return subjects[slices.Index(f.keys, key)]
}

// look asks the daemon, or Rancher where no daemon answers or it does not look
// after all of them.
func (f *first) look(ctx context.Context) ([]underWay, error) {
	ctx, cancel := context.WithTimeout(ctx, firstTimeout)
	defer cancel()
	views, asked := f.r.daemon.Targets(ctx)
	found := f.ofDaemon(views)
	if asked == nil && (len(found) > 0 || f.areAll(views)) {
		return found, nil
	}
	client, err := f.r.rancher()
	if err != nil {
		return found, errors.Join(f.r.o.explainAway(asked), err)
	}
	defer client.Close()
	services, err := client.AllServices(ctx)
	for i := range services {
		if s := &services[i]; operator.InUpgrade(s.State) && slices.Contains(f.keys, s.Stack+"/"+s.Name) {
			found = append(found, underWay{key: s.Stack + "/" + s.Name})
		}
	}
	return found, err
}

// ofDaemon are the open rollouts that the daemon knows; a mere pinning is none.
func (f *first) ofDaemon(views []web.View) []underWay {
	var found []underWay
	for i := range views {
		v := &views[i]
		if v.Rollout != nil && v.Rollout.Kind != reconcile.Pin && slices.Contains(f.keys, v.Target) {
			found = append(found, underWay{v.Target, v.Rollout.Started})
		}
	}
	return found
}

// areAll says that the daemon looks after all of the services.
func (f *first) areAll(views []web.View) bool {
	for _, key := range f.keys {
		if !slices.ContainsFunc(views, func(v web.View) bool { return v.Target == key }) {
			return false
		}
	}
	return true
}

// isRefusedKey says that Rancher does not take the key: waiting does not help.
func isRefusedKey(err error) bool {
	var refused *rancher.Error
	return errors.As(err, &refused) && (refused.Status == http.StatusUnauthorized || refused.Status == http.StatusForbidden)
}

// some names some of many.
func (f *first) some(names []string) string {
	if len(names) <= keysShown {
		return strings.Join(names, ", ")
	}
	return f.r.o.language.Sprintf("%s and %d more", strings.Join(names[:keysShown], ", "), len(names)-keysShown)
}
