package reconcile

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// fill sets every field of a value, the unexported ones too, to something.
func fill(rng *rand.Rand, v reflect.Value, depth int) {
	v = reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem() // Test code: the fields are the package's own.
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(rng.Int64N(1<<32), rng.Int64N(1e9)).UTC()))
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(rng, v.Elem(), depth+1)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(rng, v.Field(i), depth+1)
		}
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		fallthrough
	case v.Kind() == reflect.Array:
		for i := range v.Len() {
			fill(rng, v.Index(i), depth+1)
		}
	case v.Kind() == reflect.Bool:
		v.SetBool(rng.IntN(2) == 0)
	case v.Kind() == reflect.String:
		v.SetString(fmt.Sprintf("text \x00 %d", rng.Int()))
	case v.CanInt():
		v.SetInt(rng.Int64() >> (64 - v.Type().Bits()))
	case v.CanUint():
		v.SetUint(rng.Uint64() >> (64 - v.Type().Bits()))
	case v.CanFloat():
		v.SetFloat([]float64{rng.NormFloat64(), math.Inf(-1), 1e-300, 0}[rng.IntN(4)])
	default:
		panic("a memory holds a " + v.Type().String() + ": teach coder to write it")
	}
}

// TestMemoryIsWrittenWhole: whatever fields the gates' memory gets, none is lost.
func TestMemoryIsWrittenWhole(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var m Memory
		fill(rng, reflect.ValueOf(&m).Elem(), 0)
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var got Memory
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, m) {
			t.Fatalf("read back\n%+v\nwant\n%+v", got, m)
		}
	}
	if data, err := json.Marshal(Memory{}); err != nil || string(data) != "{}" {
		t.Errorf("a zero memory is %s, %v", data, err)
	}
}

// TestMemoryOfAnotherShapeIsRefused: what a file says and nobody takes would be lost
// silently.
func TestMemoryOfAnotherShapeIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no object":         `[]`,
		"null":              `null`,
		"an unknown field":  `{"lookedAt":"2026-11-26T05:00:00Z"}`,
		"unknown, deeper":   `{"lb":{"contest":{"old":{"requests":"1","answers":"2"}}}}`,
		"a number":          `{"scale":3}`,
		"no number":         `{"scale":"three"}`,
		"too large":         `{"lb":{"contest":{"incident":"256"}}}`,
		"below zero":        `{"lb":{"contest":{"freshSpread":{"filled":"-1"}}}}`,
		"no time":           `{"lastLook":"yesterday"}`,
		"a list too short":  `{"lb":{"contest":{"evidence":[{"log":"1"}]}}}`,
		"no list":           `{"tracked":{}}`,
		"a list of numbers": `{"tracked":[1]}`,
		"no flag":           `{"tracked":[{"wasUp":"yes"}]}`,
		"no float":          `{"lb":{"pace":{"usual":1}}}`,
		"no hash":           `{"lb":{"shadow":{"of":"xyz"}}}`,
		"a list too long":   `{"tracked":[` + strings.Repeat(`{},`, maxItems) + `{}]}`,
	} {
		m := Memory{scale: 7}
		if err := json.Unmarshal([]byte(text), &m); err == nil || m.scale != 7 {
			t.Errorf("%s: error %v, scale %d; want an error, and the memory as it was", name, err, m.scale)
		}
	}
}

// TestMemoryShapeNamesEveryField: two shapes that differ in one field have different
// names.
func TestMemoryShapeNamesEveryField(t *testing.T) {
	var all strings.Builder
	new(Memory).code(&coder{shape: &all})
	for _, want := range []string{"lastLook:time;", "lb?(", "shadow?(", "of:hash;", "counts[256](n:integer;)", "tracked[](id:text;", "isVersions:bool;"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("the shape does not name %s:\n%s", want, all.String())
		}
	}
	if n := strings.Count(all.String(), ";"); n < 150 {
		t.Errorf("the shape names %d fields, want all of them:\n%s", n, all.String())
	}
	if MemoryShape != memoryShape() || len(MemoryShape) != 16 {
		t.Errorf("MemoryShape = %q", MemoryShape)
	}
}
