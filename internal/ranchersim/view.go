package ranchersim

import (
	"maps"
	"net/http"
	"strings"
)

// The two dialects of the API.
const (
	apiV1 = "v1"
	apiV2 = "v2-beta"
)

// view renders records for one caller: with the addresses this client used, in its dialect, without what its role
// must not see.
type view struct {
	server  *Server
	caller  caller
	base    string // http://host/v2-beta or …/v2-beta/projects/1a5, lower-cased.
	version string
}

// url joins path elements to the base; everything Rancher generates is lower-cased (DefaultUrlBuilder).
func (v view) url(parts ...string) string {
	return v.base + "/" + strings.ToLower(strings.Join(parts, "/"))
}

// head begins a resource: id, type, links, actions, baseType, name, state.
func (v view) head(id, typ, baseType string, links, actions []string) object {
	plural := strings.ToLower(typ)
	if s := schemas[typ]; s != nil {
		plural = s.PluralName
	}
	self := v.url(plural, id)
	all := object{{"self", self}}
	for _, l := range links {
		all.set(l, self+"/"+strings.ToLower(l))
	}
	offered := object{}
	for _, a := range actions {
		if !v.caller.may(typ, a) {
			continue
		}
		offered.set(a, self+"/?action="+strings.ToLower(a))
	}
	return object{{"id", id}, {"type", typ}, {"links", all}, {"actions", offered}, {"baseType", baseType}}
}

// setTransition writes the three transitioning fields.
func setTransition(o *object, state string, failed bool, message string) {
	word := "no"
	switch {
	case failed:
		word = "error"
	case isTransitioning(state):
		word = "yes"
	}
	text := orNull(message)
	if text == nil && word == "yes" {
		text = "In Progress"
	}
	o.set("transitioning", word)
	o.set("transitioningMessage", text)
	o.set("transitioningProgress", nil)
}

// reply writes an answer the way Rancher's REST does, slashes escaped.
func (v view) reply(w http.ResponseWriter, status int, body object) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(escapeSlashes(appendJSON(make([]byte, 0, 4096), body))) // A client that is gone is no error here.
}

// fail writes an error.
func (v view) fail(w http.ResponseWriter, err *apiError) {
	v.server.mu.Lock()
	id := v.server.uuid()
	v.server.mu.Unlock()
	v.reply(w, err.status, err.body(id))
}

// hide leaves out of a launch configuration what the caller's role does not know.
func (v view) hide(config map[string]any) map[string]any {
	hidden := func(name string, _ any) bool { return v.caller.hidesField(name) }
	for name, item := range config {
		if hidden(name, item) {
			config = maps.Clone(config)
			maps.DeleteFunc(config, hidden)
			return config
		}
	}
	return config
}

func (v view) hideAll(configs []map[string]any) any {
	if configs == nil {
		return nil
	}
	list := make([]any, len(configs))
	for n, c := range configs {
		list[n] = v.hide(c)
	}
	return list
}

// hideUpgrade does the same inside the upgrade field.
func (v view) hideUpgrade(upgrade map[string]any) any {
	if upgrade == nil {
		return nil
	}
	strategy, _ := upgrade["inServiceStrategy"].(map[string]any)
	if strategy == nil || v.caller.kind != AgentKey && v.caller.kind != ReadOnlyKey {
		return upgrade
	}
	shown := maps.Clone(strategy)
	for name, item := range strategy {
		switch item := item.(type) {
		case map[string]any:
			shown[name] = v.hide(item)
		case []any:
			shown[name] = v.hideAll(asConfigs(item))
		}
	}
	outer := maps.Clone(upgrade)
	outer["inServiceStrategy"] = shown
	return outer
}
