package observe

import (
	"encoding/hex"
	"fmt"
)

// Layers names what the layers of an image hold, whatever its configuration says
// beside: images that are built again from the same files have the same. It is 16
// bytes wherever it is kept, and no text, because every idle target keeps some. The
// zero value is not known, and equal to nothing.
type Layers [16]byte

// IsKnown says that the layers were read.
func (l Layers) IsKnown() bool { return l != Layers{} }

// AreThoseOf says that both are known and the same.
func (l Layers) AreThoseOf(other Layers) bool { return l.IsKnown() && l == other }

// String is hexadecimal; empty when not known.
func (l Layers) String() string {
	if !l.IsKnown() {
		return ""
	}
	return hex.EncodeToString(l[:])
}

// MarshalText is String.
func (l Layers) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (l *Layers) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*l = Layers{}
		return nil
	}
	var read Layers
	if len(text) != hex.EncodedLen(len(read)) {
		return fmt.Errorf("layers are named by %d hexadecimal digits, not by %d characters", hex.EncodedLen(len(read)), len(text))
	}
	if _, err := hex.Decode(read[:], text); err != nil {
		return fmt.Errorf("reading the name of layers: %w", err)
	}
	*l = read
	return nil
}
