package conformance

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// differ lists where two bodies differ, by path, without the accepted differences.
func (c *comparison) differ(path string, want, got any) []string {
	if how, ok := lookUpAccepted(path); ok && path != "" {
		return c.accept(how, path, want, got)
	}
	if path == "links" || strings.HasSuffix(path, ".links") {
		want, got = onlySelf(want, got)
	}
	w, wok := want.(map[string]any)
	g, gok := got.(map[string]any)
	switch {
	case wok && gok:
		if kind, isRecord := w["type"].(string); isRecord && w["baseType"] != nil {
			path = kind // Paths within a record begin with its type.
		}
		return c.differMaps(path, w, g)
	case wok != gok:
		return mismatch(path, want, got)
	}
	wl, wok := want.([]any)
	gl, gok := got.([]any)
	if wok && gok {
		return c.differLists(path, wl, gl)
	}
	ws, wok := want.(string)
	gs, gok := got.(string)
	if strings.HasSuffix(path, "transitioningMessage") {
		ws, gs = plain(ws), plain(gs)
	}
	if wok && gok && c.unify(path, ws, gs) || reflect.DeepEqual(want, got) {
		return nil
	}
	return mismatch(path, want, got)
}

func mismatch(path string, want, got any) []string {
	return []string{fmt.Sprintf("%s = %v, want %v", path, brief(got), brief(want))}
}

// accept checks what an accepted difference still has to fulfil.
func (c *comparison) accept(how how, path string, want, got any) []string {
	switch {
	case how == ignored:
		return nil
	case how == sameKind && reflect.TypeOf(want) == reflect.TypeOf(got):
		return nil
	case how == chosenPort && c.standsForPort(fmt.Sprint(want), fmt.Sprint(got)):
		return nil
	}
	return mismatch(path, want, got)
}

// chosen is a host port from the range that Rancher draws from, as a port or before a container's.
var chosen = regexp.MustCompile(`^(49[1-9]\d{2}|[56]\d{4})\b`)

// standsForPort tells whether two ports are the same but for one that Rancher chose.
func (c *comparison) standsForPort(want, got string) bool {
	if chosen.ReplaceAllString(want, "*") != chosen.ReplaceAllString(got, "*") {
		return false
	}
	return chosen.FindString(want) == "" || c.everywhere.bind(chosen.FindString(want), chosen.FindString(got))
}

func (c *comparison) differMaps(path string, want, got map[string]any) []string {
	var found []string
	keys := slices.Collect(maps.Keys(want))
	for key := range got {
		if _, ok := want[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		inner := strings.TrimPrefix(path+"."+key, ".")
		w, wok := want[key]
		g, gok := got[key]
		how, isAccepted := lookUpAccepted(inner)
		switch {
		case isAccepted && how == ignored:
		case !gok:
			found = append(found, fmt.Sprintf("%s is missing, want %v", inner, brief(w)))
		case !wok:
			found = append(found, fmt.Sprintf("%s = %v, want it absent", inner, brief(g)))
		default:
			found = append(found, c.differ(inner, w, g)...)
		}
	}
	return found
}

func (c *comparison) differLists(path string, want, got []any) []string {
	if len(want) != len(got) {
		return []string{fmt.Sprintf("%s has %d items, want %d", path, len(got), len(want))}
	}
	var found []string
	for n := range want {
		found = append(found, c.differ(fmt.Sprintf("%s[%d]", path, n), want[n], got[n])...)
	}
	return found
}

// onlySelf leaves of our links what long recordings keep: self.
func onlySelf(want, got any) (any, any) {
	w, _ := want.(map[string]any)
	g, _ := got.(map[string]any)
	if len(w) != 1 || w["self"] == nil || g["self"] == nil {
		return want, got
	}
	return want, map[string]any{"self": g["self"]}
}

func brief(v any) string {
	s := fmt.Sprintf("%v", v)
	if len(s) > 120 {
		s = s[:120] + "…"
	}
	return s
}

// names lists an object's keys.
func names(v any) string {
	m, _ := v.(map[string]any)
	return strings.Join(slices.Sorted(maps.Keys(m)), " ")
}
