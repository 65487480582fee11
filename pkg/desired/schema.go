package desired

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/invopop/jsonschema"
)

// schemaID names the schema; editors need not be able to fetch it.
const schemaID = "https://gitlab.gf.com.cn/clickeggs/drover/targets.schema.json"

// Schema is the JSON Schema (draft 2020-12) of targets.yaml, made from the types.
// Relations between keys are beyond it; Parse checks those.
func Schema() ([]byte, error) {
	r := jsonschema.Reflector{
		ExpandedStruct: true,
		Mapper:         mapType,
		LookupComment: func(t reflect.Type, field string) string {
			if field == "" {
				return describeType(t)
			}
			return describe(t, field)
		},
	}
	s := r.Reflect(&Config{})
	s.ID = schemaID
	s.Title = "Drover's targets.yaml"
	decorate(s, reflect.TypeFor[Config](), s.Definitions, map[reflect.Type]bool{})
	one := uint64(1)
	most := uint64(maxTargets)
	targets, _ := s.Properties.Get("targets")
	targets.MinItems, targets.MaxItems = &one, &most
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}
	return append(out, '\n'), nil
}

// mapType gives the types with a spelling of their own their schema.
func mapType(t reflect.Type) *jsonschema.Schema {
	switch t {
	case durationType:
		return &jsonschema.Schema{Type: "string", Pattern: durationPattern, Examples: []any{"30s", "5m", "1h30m"}}
	case percentType:
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
			{Type: "string", Pattern: percentPattern, Examples: []any{"1%", "0.5%"}},
			{Type: "number", ExclusiveMinimum: "0", ExclusiveMaximum: "1"},
		}}
	case urlsType:
		one := uint64(1)
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
			{Type: "string"},
			{Type: "array", Items: &jsonschema.Schema{Type: "string"}, MinItems: &one},
		}}
	}
	if enum, ok := reflect.Zero(t).Interface().(enumerated); ok {
		s := &jsonschema.Schema{Type: "string"}
		for _, v := range enum.values() {
			s.Enum = append(s.Enum, v)
		}
		return s
	}
	return nil
}

// decorate adds to the properties of a struct what its tags say.
func decorate(s *jsonschema.Schema, t reflect.Type, defs jsonschema.Definitions, done map[reflect.Type]bool) {
	if done[t] {
		return
	}
	done[t] = true
	if t == secretType {
		one := uint64(1)
		s.MinProperties, s.MaxProperties = &one, &one
	}
	for f := range fieldsOf(t) {
		property, _ := s.Properties.Get(rulesOf(f).key)
		decorateValue(property, f.Type, rulesOf(f))
		if inner := element(f.Type); isStruct(inner) {
			decorate(defs[inner.Name()], inner, defs, done)
		}
	}
}

// element is the type behind pointers and lists.
func element(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t
}

func decorateValue(s *jsonschema.Schema, t reflect.Type, r rules) {
	switch {
	case t.Kind() == reflect.Pointer:
		decorateValue(s, t.Elem(), r)
	case t == durationType:
		s.Description += fmt.Sprintf(" From %s to %s.", r.least, r.most)
	case t == urlsType:
		s.OneOf[0].Pattern = grammars[r.is].pattern
		s.OneOf[1].Items.Pattern = grammars[r.is].pattern
	case t.Kind() == reflect.Slice:
		one := uint64(1)
		s.MinItems = &one
		decorateValue(s.Items, t.Elem(), r)
	case t.Kind() == reflect.Map:
		s.PropertyNames = &jsonschema.Schema{Pattern: grammars[r.keys].pattern}
		decorateValue(s.AdditionalProperties, t.Elem(), r)
	case s.Type == "integer", s.Type == "number":
		s.Minimum, s.Maximum = json.Number(r.least), json.Number(r.most)
	case s.Type == "string" && s.Enum == nil:
		s.Pattern = grammars[r.is].pattern
	}
}
