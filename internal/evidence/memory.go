package evidence

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"reflect"
	"strconv"
	"time"
	"unsafe"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// What the gates have counted is nobody's business but theirs, so the fields of
// reconcile.Memory are its own. A replay must begin with all of it nevertheless,
// and one field left out by a hand-written copy would be noticed as a replay that
// differs, some day. So it is written by the shape of the types, whatever they
// are, and a file tells the shape: a build with another one does not read it.

var timeType = reflect.TypeFor[time.Time]()

// memoryShape names the shape of the memory in this build.
var memoryShape = shapeOf(reflect.TypeFor[reconcile.Memory]())

func shapeOf(t reflect.Type) string {
	h := fnv.New64a()
	writeShape(h, t)
	return fmt.Sprintf("%016x", h.Sum64())
}

func writeShape(w interface{ Write([]byte) (int, error) }, t reflect.Type) {
	fmt.Fprintf(w, "%s(", t.Kind())
	switch {
	case t == timeType:
		fmt.Fprint(w, "time")
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			fmt.Fprintf(w, "%s:", t.Field(i).Name)
			writeShape(w, t.Field(i).Type)
		}
	case t.Kind() == reflect.Pointer, t.Kind() == reflect.Slice, t.Kind() == reflect.Array:
		writeShape(w, t.Elem())
	}
	fmt.Fprint(w, ")")
}

// encodeMemory writes a memory; a zero field is left out.
func encodeMemory(m reconcile.Memory) (json.RawMessage, error) {
	v, err := encodeValue(reflect.ValueOf(&m).Elem())
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

func encodeValue(v reflect.Value) (any, error) {
	switch {
	case v.Type() == timeType:
		return settable(v).Interface().(time.Time).Format(time.RFC3339Nano), nil
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			return nil, nil
		}
		return encodeValue(v.Elem())
	case v.Kind() == reflect.Struct:
		return encodeStruct(v)
	case v.Kind() == reflect.Slice, v.Kind() == reflect.Array:
		return encodeList(v)
	}
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.String:
		return v.String(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10), nil
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64), nil // JSON has no infinity.
	default:
		return nil, fmt.Errorf("a memory holds a %s, which cannot be written", v.Type())
	}
}

func encodeStruct(v reflect.Value) (any, error) {
	fields := map[string]any{}
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			continue
		}
		value, err := encodeValue(v.Field(i))
		if err != nil {
			return nil, err
		}
		fields[v.Type().Field(i).Name] = value
	}
	return fields, nil
}

func encodeList(v reflect.Value) (any, error) {
	items := make([]any, v.Len())
	for i := range items {
		var err error
		if items[i], err = encodeValue(v.Index(i)); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// decodeMemory reads what encodeMemory wrote.
func decodeMemory(data json.RawMessage) (reconcile.Memory, error) {
	var m reconcile.Memory
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		return m, err
	}
	err := decodeValue(tree, reflect.ValueOf(&m).Elem())
	return m, err
}

var errShape = errors.New("the memory in the file has another shape")

// settable is a field that may be read and written to, although it is another
// package's.
func settable(v reflect.Value) reflect.Value {
	return reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
}

func decodeValue(tree any, to reflect.Value) error {
	to = settable(to)
	switch {
	case tree == nil:
		return nil
	case to.Type() == timeType:
		return decodeTime(tree, to)
	case to.Kind() == reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		return decodeValue(tree, to.Elem())
	case to.Kind() == reflect.Struct:
		return decodeStruct(tree, to)
	case to.Kind() == reflect.Slice, to.Kind() == reflect.Array:
		return decodeList(tree, to)
	case to.Kind() == reflect.Bool:
		b, ok := tree.(bool)
		if !ok {
			return errShape
		}
		to.SetBool(b)
		return nil
	}
	return decodeText(tree, to)
}

func decodeText(tree any, to reflect.Value) error {
	text, ok := tree.(string)
	if !ok {
		return errShape
	}
	switch to.Kind() {
	case reflect.String:
		to.SetString(text)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, to.Type().Bits())
		if err != nil {
			return err
		}
		to.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, to.Type().Bits())
		if err != nil {
			return err
		}
		to.SetUint(n)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return err
		}
		to.SetFloat(f)
	default:
		return errShape
	}
	return nil
}

func decodeTime(tree any, to reflect.Value) error {
	text, ok := tree.(string)
	if !ok {
		return errShape
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return err
	}
	to.Set(reflect.ValueOf(at))
	return nil
}

func decodeStruct(tree any, to reflect.Value) error {
	fields, ok := tree.(map[string]any)
	if !ok {
		return errShape
	}
	known := 0
	for i := range to.NumField() {
		value, ok := fields[to.Type().Field(i).Name]
		if !ok {
			continue
		}
		known++
		if err := decodeValue(value, to.Field(i)); err != nil {
			return fmt.Errorf("%s: %w", to.Type().Field(i).Name, err)
		}
	}
	if known != len(fields) {
		return errShape
	}
	return nil
}

// maxItems bounds a list read from a file.
const maxItems = 100_000

func decodeList(tree any, to reflect.Value) error {
	items, ok := tree.([]any)
	if !ok || len(items) > maxItems || to.Kind() == reflect.Array && len(items) != to.Len() {
		return errShape
	}
	if to.Kind() == reflect.Slice {
		to.Set(reflect.MakeSlice(to.Type(), len(items), len(items)))
	}
	for i, item := range items {
		if err := decodeValue(item, to.Index(i)); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return nil
}
