package ranchersim

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// schemas.json is the /schemas answer of a running Cattle 0.183.83 to an environment key, one type per line.
// Validation, rendering, filters and allowed methods are all read from it, as in the real server.
//
//go:embed schemas.json
var schemasJSON []byte

// schema is one API type.
type schema struct {
	ID                string                 `json:"id"`
	PluralName        string                 `json:"pluralName"`
	ResourceFields    map[string]schemaField `json:"resourceFields"`
	CollectionFilters map[string]struct {
		Modifiers []string `json:"modifiers"`
	} `json:"collectionFilters"`
	ResourceActions   map[string]struct{ Input, Output *string } `json:"resourceActions"`
	ResourceMethods   []string                                   `json:"resourceMethods"`
	CollectionMethods []string                                   `json:"collectionMethods"`
	IncludeableLinks  []string                                   `json:"includeableLinks"`

	raw        json.RawMessage // As recorded, for /schemas.
	fieldNames []string        // Sorted.
	columns    []string        // Names that filter and sort, sorted.
}

// schemaField describes one field of a type.
type schemaField struct {
	Type       string   `json:"type"` // string, int, array[string], reference[host], launchConfig …
	Create     bool     `json:"create"`
	Update     bool     `json:"update"`
	Nullable   bool     `json:"nullable"`
	Required   bool     `json:"required"`
	Default    any      `json:"default"`
	Min        *int64   `json:"min"`
	Max        *int64   `json:"max"`
	MinLength  *int     `json:"minLength"`
	MaxLength  *int     `json:"maxLength"`
	Options    []string `json:"options"`
	ValidChars string   `json:"validChars"`
}

// secretTypes do not exist for a container's own key (environment-auth.json in Cattle).
var secretTypes = map[string]bool{"secret": true, "secretReference": true}

// readOnlyTypes do not exist for a read-only member (read-user.json in Cattle).
var readOnlyTypes = map[string]bool{"registrationToken": true}

// Known after useSchemas. They are read when the first server is made, because reading them takes longer than the
// start of any command of a program that this package is linked into.
var (
	schemas       map[string]*schema
	schemaByPath  map[string]*schema
	sortedSchemas []*schema
	// containerFields are the fields of a container beyond its head.
	containerFields []string
)

// useSchemas reads the schemas, once.
var useSchemas = sync.OnceFunc(func() {
	schemas = loadSchemas()
	schemaByPath = indexSchemas(schemas)
	sortedSchemas = sortSchemas(schemas)
	containerFields = containerFieldNames()
})

func loadSchemas() map[string]*schema {
	var raw []json.RawMessage
	if err := json.Unmarshal(schemasJSON, &raw); err != nil {
		panic(fmt.Sprintf("ranchersim: embedded schemas.json: %v", err)) // The file is part of the program.
	}
	all := make(map[string]*schema, len(raw))
	for _, r := range raw {
		s := &schema{raw: r}
		dec := json.NewDecoder(strings.NewReader(string(r)))
		dec.UseNumber()
		if err := dec.Decode(s); err != nil {
			panic(fmt.Sprintf("ranchersim: embedded schemas.json: %v", err))
		}
		s.fieldNames = sortedKeys(s.ResourceFields)
		s.columns = sortedKeys(s.CollectionFilters)
		all[s.ID] = s
	}
	return all
}

// indexSchemas finds a type by the lower-cased plural or singular name in a URL.
func indexSchemas(all map[string]*schema) map[string]*schema {
	index := make(map[string]*schema, 2*len(all))
	for _, s := range all {
		index[strings.ToLower(s.PluralName)] = s
		index[strings.ToLower(s.ID)] = s
	}
	return index
}

func sortSchemas(all map[string]*schema) []*schema {
	list := make([]*schema, 0, len(all))
	for _, name := range sortedKeys(all) {
		list = append(list, all[name])
	}
	return list
}

func (s *schema) allowsCollection(method string) bool {
	return slices.Contains(s.CollectionMethods, method)
}

func (s *schema) allowsResource(method string) bool {
	return slices.Contains(s.ResourceMethods, method)
}

// actionsOf are the actions that a type has at all.
func actionsOf(typ string) map[string]struct{ Input, Output *string } {
	if s := schemas[typ]; s != nil {
		return s.ResourceActions
	}
	return schemas["service"].ResourceActions
}

// isService tells whether the type is one of the kinds of service.
func (s *schema) isService() bool { return serviceKinds[s.ID] }

// serviceKinds are the types that share the id space of services.
var serviceKinds = map[string]bool{
	"service": true, "loadBalancerService": true, "dnsService": true, "externalService": true,
	"networkDriverService": true, "storageDriverService": true, "composeService": true, "kubernetesService": true,
}

// isDriver tells whether the type is one of Rancher's own services for networks and volumes.
func (s *schema) isDriver() bool {
	return s != nil && (s.ID == "networkDriverService" || s.ID == "storageDriverService")
}
