package observe

import (
	"encoding/json"
	"testing"
)

// TestLayersAreReadBack: what is written is read back, what is not known is left out,
// and what was written before there were any is not known.
func TestLayersAreReadBack(t *testing.T) {
	want := Image{Digest: "sha256:aaaa", Layers: Layers{0: 0xab, 15: 0x0c}}
	data, err := json.Marshal(want)
	if err != nil || string(data) != `{"digest":"sha256:aaaa","layers":"ab00000000000000000000000000000c"}` {
		t.Fatalf("Marshal = %s, %v", data, err)
	}
	var got Image
	if err := json.Unmarshal(data, &got); err != nil || got != want {
		t.Errorf("read back %+v, %v, want %+v", got, err, want)
	}
	for text, isGood := range map[string]bool{
		`{}`: true, `{"layers":""}`: true, `{"layers":"ab"}`: false, `{"layers":"zz00000000000000000000000000000c"}`: false,
		`{"layers":"ab00000000000000000000000000000cab"}`: false,
	} {
		got := Image{Layers: want.Layers}
		if text == `{}` {
			got.Layers = Layers{}
		}
		err := json.Unmarshal([]byte(text), &got)
		if (err == nil) != isGood || isGood && got.Layers.IsKnown() {
			t.Errorf("%s: layers %q, error %v; want an error: %t", text, got.Layers, err, !isGood)
		}
	}
}

// TestUnknownLayersAreThoseOfNothing: two images of which nothing is known are not
// taken for the same.
func TestUnknownLayersAreThoseOfNothing(t *testing.T) {
	a, b := Layers{1}, Layers{2}
	if (Layers{}).AreThoseOf(Layers{}) || a.AreThoseOf(Layers{}) || (Layers{}).AreThoseOf(a) || a.AreThoseOf(b) || !a.AreThoseOf(a) {
		t.Error("layers are the same only when both are known and equal")
	}
}
