package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// TestFirstOfSeveral: of what the daemon has open, the rollout that began last is
// taken; a mere pinning is none, and neither is one of a service that nobody asked
// for.
func TestFirstOfSeveral(t *testing.T) {
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	view := func(target string, kind reconcile.Kind, minute int) web.View {
		return web.View{Target: target, Rollout: &web.Rollout{Kind: kind, Started: noon.Add(time.Duration(minute) * time.Minute)}}
	}
	subjects := []operator.Subject{{Stack: "shop", Service: "api"}, {Stack: "shop", Service: "web"}, {Stack: "shop", Service: "db"}}
	var said strings.Builder
	f := &first{r: &reach{o: &options{}}, keys: []string{"shop/api", "shop/web", "shop/db"}, out: &said}
	idle := []web.View{{Target: "shop/api"}, {Target: "shop/web"}, view("shop/db", reconcile.Pin, 9), view("other/api", reconcile.Deploy, 9)}
	if found := f.ofDaemon(idle); len(found) > 0 {
		t.Errorf("ofDaemon() = %v, want none", found)
	}
	if !f.areAll(idle) || f.areAll(idle[1:]) {
		t.Error("areAll() does not tell a daemon that looks after all from one that does not")
	}
	open := []web.View{view("shop/api", reconcile.Deploy, 1), view("shop/web", reconcile.Restore, 3), view("shop/db", reconcile.Deploy, 2)}
	if got := f.take(subjects, f.ofDaemon(open)); got.Key() != "shop/web" {
		t.Errorf("take() = %s, want the one that began last", got.Key())
	}
	if want := "3 rollouts are under way: this is shop/web; `drover watch` shows another by its name: shop/db, shop/api\n"; said.String() != want {
		t.Errorf("said is %q, want %q", said.String(), want)
	}
	many := slices.Repeat([]string{"a/b"}, 8)
	if got, want := f.some(many), "a/b, a/b, a/b, a/b, a/b and 3 more"; got != want {
		t.Errorf("some() = %q, want %q", got, want)
	}
}

// What is seen again and again is said once.
func TestFirstSaysNothingTwice(t *testing.T) {
	var said strings.Builder
	f := &first{out: &said}
	for _, text := range []string{"no rollout is under way", "no rollout is under way", "cannot see it: dial 1", "cannot see it: dial 2", "no rollout is under way"} {
		f.tell(text)
	}
	if want := "no rollout is under way\ncannot see it: dial 1\nno rollout is under way\n"; said.String() != want {
		t.Errorf("said is %q, want %q", said.String(), want)
	}
}
