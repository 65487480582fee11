package main

import (
	"errors"
	"io/fs"
	"maps"
	"slices"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// remembered reads the journal without touching it. One that does not exist yet
// remembers nothing.
func remembered(stateDir string) (histories map[string]reconcile.History, hasJournal bool, err error) {
	r, err := journal.OpenReadOnly(stateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]reconcile.History{}, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	histories, err = controller.Histories(r.Replay)
	return histories, true, err
}

// viewsOf are the views of the targets that the file names and of those that
// only the journal knows.
func viewsOf(config *desired.Config, histories map[string]reconcile.History) []web.View {
	views := []web.View{}
	for i := range config.Targets {
		t := config.Targets[i]
		views = append(views, web.ViewOf(t.Key(), t, histories[t.Key()], nil))
	}
	for _, key := range slices.Sorted(maps.Keys(histories)) {
		if _, listed := config.Target(key); !listed {
			views = append(views, web.ViewOf(key, desired.Target{}, histories[key], nil))
		}
	}
	return views
}
