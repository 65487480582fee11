package ranchersim

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
)

// validator turns a request's body into what Rancher stores: unknown members dropped, defaults filled in, types
// converted, references checked. The rules are those of ValidationHandler in Cattle, the data that of schemas.json.
type validator struct {
	hides     map[string]bool                 // Types the caller's role does not know.
	reference func(kind, id string) (ok bool) // Whether a reference exists.
}

// mode is which permission of a field counts at the top level; nested objects always count as created.
type mode int

const (
	forCreate mode = iota
	forUpdate
)

// object validates the members of a type. In an update only given members appear in the result.
func (v *validator) object(s *schema, in map[string]any, m mode) (map[string]any, *apiError) {
	out := make(map[string]any, len(in))
	for _, name := range s.fieldNames {
		f := s.ResourceFields[name]
		if v.hides[elementType(f.Type)] {
			continue
		}
		value, given := in[name]
		if m == forUpdate && !f.Update || m == forCreate && !f.Create {
			given = false
		}
		if err := v.field(out, name, f, value, given, m); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (v *validator) field(out map[string]any, name string, f schemaField, value any, given bool, m mode) *apiError {
	if !given {
		if m == forUpdate {
			return nil
		}
		return fillMissing(out, name, f)
	}
	if value == nil {
		return v.null(out, name, f)
	}
	converted, err := v.convert(name, f, f.Type, value)
	if err != nil {
		return err
	}
	if err := checkLimits(name, f, converted); err != nil {
		return err
	}
	out[name] = converted
	return nil
}

func fillMissing(out map[string]any, name string, f schemaField) *apiError {
	switch {
	case f.Default != nil:
		out[name] = f.Default
	case f.Required && f.Create:
		return invalid("MissingRequired", name)
	}
	return nil
}

// null keeps an explicit null where the field may be null; batchSize may, which is how an upgrade gets stuck.
func (v *validator) null(out map[string]any, name string, f schemaField) *apiError {
	switch {
	case f.Required:
		return invalid("MissingRequired", name)
	case f.Nullable:
		out[name] = nil
	case f.Default != nil:
		out[name] = f.Default
	case strings.HasPrefix(f.Type, "map[") || strings.HasPrefix(f.Type, "array["):
		// Collections without a default are silently left out.
	default:
		return invalid("NotNullable", name)
	}
	return nil
}

// convert brings a value to the type of a field.
func (v *validator) convert(name string, f schemaField, typ string, value any) (any, *apiError) {
	switch {
	case strings.HasPrefix(typ, "array["):
		return v.list(name, f, elementType(typ), value)
	case strings.HasPrefix(typ, "map["):
		return v.mapping(name, f, elementType(typ), value)
	case strings.HasPrefix(typ, "reference["):
		return v.refer(name, elementType(typ), value)
	}
	switch typ {
	case "int":
		return toInt(name, value)
	case "boolean":
		return toBool(value), nil
	case "string", "date", "password", "blob":
		return toString(name, value)
	case "enum":
		return toEnum(name, f, value)
	case "json", "float":
		return cloneJSON(value), nil
	default:
		return v.nested(typ, value)
	}
}

// nested validates an object inside the body. Text or a list in its place counts as an empty object, which is why
// an upgrade with "launchConfig": "text" is accepted (seen on a running server).
func (v *validator) nested(typ string, value any) (any, *apiError) {
	s := schemas[typ]
	if s == nil {
		return cloneJSON(value), nil
	}
	in, _ := value.(map[string]any)
	out, err := v.object(s, in, forCreate)
	if err != nil {
		return nil, err
	}
	out["type"] = typ
	return out, nil
}

func (v *validator) list(name string, f schemaField, typ string, value any) (any, *apiError) {
	in, ok := value.([]any)
	if !ok {
		in = []any{value} // "ports": "80" is read as one port.
	}
	out := make([]any, 0, len(in))
	for _, item := range in {
		if item == nil {
			out = append(out, nil)
			continue
		}
		converted, err := v.convert(name, f, typ, item)
		if err != nil {
			return nil, err
		}
		out = append(out, converted)
	}
	return out, nil
}

func (v *validator) mapping(name string, f schemaField, typ string, value any) (any, *apiError) {
	in, ok := value.(map[string]any)
	if !ok {
		return nil, invalid("InvalidFormat", name)
	}
	out := make(map[string]any, len(in))
	for key, item := range in {
		if item == nil || typ == "string" || typ == "json" {
			out[key] = cloneJSON(item)
			continue
		}
		converted, err := v.convert(name, f, typ, item)
		if err != nil {
			return nil, err
		}
		out[key] = converted
	}
	return out, nil
}

// refer checks a reference. The name in the error is the leaf field, not a path.
func (v *validator) refer(name, kind string, value any) (any, *apiError) {
	id, err := toString(name, value)
	if err != nil {
		return nil, err
	}
	if v.reference != nil && !v.reference(kind, id.(string)) {
		return nil, invalid("InvalidReference", name)
	}
	return id, nil
}

// elementType is what stands in the innermost brackets: array[reference[host]] gives reference[host], then host.
func elementType(typ string) string {
	open := strings.IndexByte(typ, '[')
	if open < 0 || !strings.HasSuffix(typ, "]") {
		return typ
	}
	return typ[open+1 : len(typ)-1]
}

// toInt reads "2" as 2 and cuts 1.5 to 1, as the running server did.
func toInt(name string, value any) (any, *apiError) {
	switch value := value.(type) {
	case json.Number:
		f, ok := new(big.Float).SetString(value.String())
		if !ok || f.MantExp(nil) > 63 {
			return nil, invalid("InvalidFormat", name)
		}
		n, _ := f.Int64()
		return json.Number(strconv.FormatInt(n, 10)), nil
	case string:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, invalid("InvalidFormat", name)
		}
		return json.Number(strconv.FormatInt(n, 10)), nil
	case bool:
		if value {
			return json.Number("1"), nil
		}
		return json.Number("0"), nil
	default:
		return nil, invalid("InvalidFormat", name)
	}
}

// toBool is commons-beanutils' BooleanConverter: true, yes, y, on and 1 are true, the rest is false.
func toBool(value any) bool {
	switch value := value.(type) {
	case bool:
		return value
	case json.Number:
		return value.String() == "1"
	case string:
		switch strings.ToLower(value) {
		case "true", "yes", "y", "on", "1":
			return true
		}
	}
	return false
}

func toString(name string, value any) (any, *apiError) {
	switch value := value.(type) {
	case string:
		return value, nil
	case json.Number:
		return value.String(), nil
	case bool:
		return strconv.FormatBool(value), nil
	default:
		return nil, invalid("InvalidFormat", name)
	}
}

func toEnum(name string, f schemaField, value any) (any, *apiError) {
	text, err := toString(name, value)
	if err != nil {
		return nil, err
	}
	for _, option := range f.Options {
		if option == text {
			return text, nil
		}
	}
	return nil, invalid("InvalidOption", name)
}

func checkLimits(name string, f schemaField, value any) *apiError {
	switch value := value.(type) {
	case json.Number:
		n, err := value.Int64()
		if err != nil {
			return nil //nolint:nilerr // No integer has no limits; its type is checked elsewhere.
		}
		return checkRange(name, f, n)
	case string:
		return checkText(name, f, value)
	}
	return nil
}

func checkRange(name string, f schemaField, n int64) *apiError {
	switch {
	case f.Min != nil && n < *f.Min:
		return invalid("MinLimitExceeded", name)
	case f.Max != nil && n > *f.Max:
		return invalid("MaxLimitExceeded", name)
	}
	return nil
}

func checkText(name string, f schemaField, s string) *apiError {
	switch {
	case f.MinLength != nil && len(s) < *f.MinLength:
		return invalid("MinLengthExceeded", name)
	case f.MaxLength != nil && len(s) > *f.MaxLength:
		return invalid("MaxLengthExceeded", name)
	case f.ValidChars != "" && !onlyNameChars(s):
		return invalid("InvalidCharacters", name)
	}
	return nil
}

// onlyNameChars is the one set of characters in use: a-zA-Z0-9-.
func onlyNameChars(s string) bool {
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-':
		default:
			return false
		}
	}
	return true
}
