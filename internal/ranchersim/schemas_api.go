package ranchersim

import "encoding/json"

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
		o.set(key, raw[key])
	}
	o.set("baseType", "schema")
	return o
}
