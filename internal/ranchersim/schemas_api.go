package ranchersim

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// schemas answers /schemas and /schemas/<type> from the recorded data, with this server's addresses.
func (q *request) schemas() (object, *apiError) {
	if len(q.rest) == 2 {
		sch := schemaByPath[lower(q.rest[1])]
		if sch == nil || q.view.caller.hidden()[sch.ID] {
			return nil, notFound()
		}
		return q.view.schema(sch), nil
	}
	if len(q.rest) > 2 {
		return nil, notFound()
	}
	data := make([]object, 0, len(sortedSchemas))
	for _, sch := range sortedSchemas {
		if !q.view.caller.hidden()[sch.ID] {
			data = append(data, q.view.schema(sch))
		}
	}
	return q.plain("schema", data), nil
}

// schema renders one type. links.collection exists for types that can be listed; that of subscribe is the event URL.
func (v view) schema(sch *schema) object {
	links := object{{"self", v.url("schemas", sch.ID)}}
	if sch.allowsCollection("GET") {
		links.set("collection", v.url(sch.PluralName))
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(sch.raw, &raw); err != nil {
		panic("ranchersim: embedded schema " + sch.ID) // It was decoded at start.
	}
	o := object{{"id", sch.ID}, {"type", "schema"}, {"links", links}, {"actions", object{}}}
	for _, key := range []string{
		"pluralName", "resourceFields", "collectionFilters", "includeableLinks", "resourceActions", "collectionActions",
		"collectionFields", "resourceMethods", "collectionMethods",
	} {
		o.set(key, v.role(sch, key, raw[key]))
	}
	o.set("baseType", "schema")
	return o
}

// role is a part of a schema as the caller's role has it: without the fields and actions that are hidden from it, and
// for a read-only member without anything that changes something (SubSchemaFactory#prune, test_readonly_types).
func (v view) role(sch *schema, part string, raw json.RawMessage) any {
	readOnly := v.caller.kind == ReadOnlyKey
	switch {
	case part == "resourceFields" && (readOnly || v.caller.kind == AgentKey):
		return v.roleFields(sch, raw)
	case readOnly && part == "resourceActions":
		var actions map[string]any
		_ = json.Unmarshal(raw, &actions) // It was decoded at start.
		maps.DeleteFunc(actions, func(name string, _ any) bool { return !v.caller.may(sch.ID, name) })
		return actions
	case readOnly && part == "collectionActions":
		return map[string]any{}
	case readOnly && (part == "resourceMethods" || part == "collectionMethods"):
		return readMethods(raw)
	}
	return raw
}

// roleFields are the fields that the caller's role has.
func (v view) roleFields(sch *schema, raw json.RawMessage) any {
	fields, err := decodeJSON(raw)
	all, ok := fields.(map[string]any)
	if err != nil || !ok {
		return raw
	}
	isConfig := sch.ID == "launchConfig" || sch.ID == "secondaryLaunchConfig" || sch.ID == "container"
	for name, field := range all {
		f, _ := field.(map[string]any)
		if isConfig && v.caller.hidesField(name) || v.hidesType(text(f["type"])) {
			delete(all, name)
		} else if v.caller.kind == ReadOnlyKey {
			f["create"], f["update"] = false, false
		}
	}
	return all
}

// hidesType tells whether a field's type is one that does not exist for the caller, alone or in a list.
func (v view) hidesType(typ string) bool {
	typ = strings.TrimSuffix(strings.TrimPrefix(typ, "array["), "]")
	return v.caller.hidden()[typ]
}

// readMethods are those of a type's methods that change nothing.
func readMethods(raw json.RawMessage) []string {
	var methods []string
	_ = json.Unmarshal(raw, &methods) // It was decoded at start.
	return slices.DeleteFunc(methods, func(m string) bool { return m != http.MethodGet })
}
