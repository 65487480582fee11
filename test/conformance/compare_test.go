package conformance

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// differ lists where two bodies differ, by path, without the accepted differences.
func differ(path string, want, got any) []string {
	if path != "" && isAccepted(path) {
		return nil
	}
	w, wok := want.(map[string]any)
	g, gok := got.(map[string]any)
	switch {
	case wok && gok:
		return differMaps(path, w, g)
	case wok != gok:
		return []string{fmt.Sprintf("%s = %v, want %v", path, brief(got), brief(want))}
	}
	wl, wok := want.([]any)
	gl, gok := got.([]any)
	if wok && gok {
		return differLists(path, wl, gl)
	}
	if !reflect.DeepEqual(want, got) {
		return []string{fmt.Sprintf("%s = %v, want %v", path, brief(got), brief(want))}
	}
	return nil
}

func differMaps(path string, want, got map[string]any) []string {
	var found []string
	keys := slices.Sorted(maps.Keys(want))
	for key := range got {
		if _, ok := want[key]; !ok {
			keys = append(keys, key)
		}
	}
	for _, key := range keys {
		inner := strings.TrimPrefix(path+"."+key, ".")
		w, wok := want[key]
		g, gok := got[key]
		switch {
		case isAccepted(inner):
		case !gok:
			found = append(found, fmt.Sprintf("%s is missing, want %v", inner, brief(w)))
		case !wok:
			found = append(found, fmt.Sprintf("%s = %v, want it absent", inner, brief(g)))
		default:
			found = append(found, differ(inner, w, g)...)
		}
	}
	return found
}

func differLists(path string, want, got []any) []string {
	if len(want) != len(got) {
		return []string{fmt.Sprintf("%s has %d items, want %d", path, len(got), len(want))}
	}
	var found []string
	for n := range want {
		found = append(found, differ(fmt.Sprintf("%s[%d]", path, n), want[n], got[n])...)
	}
	return found
}

func brief(v any) string {
	s := fmt.Sprintf("%v", v)
	if len(s) > 120 {
		s = s[:120] + "…"
	}
	return s
}

// names lists an object's keys, for links and actions. Long recordings keep only self of the links.
func names(v any) string {
	m, _ := v.(map[string]any)
	return strings.Join(slices.Sorted(maps.Keys(m)), " ")
}
