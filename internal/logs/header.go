package logs

import (
	"bytes"
	"encoding/binary"
)

// dropHeaders takes the headers out of the middle of a long line, each with the
// timestamp behind it. It works in place. ended says that a line end followed,
// which the last header's length counts.
func (d *Decoder) dropHeaders(b []byte, ended bool) []byte {
	from := nextHeader(b, 0, ended)
	if from < 0 {
		return b
	}
	kept := b[:from]
	for from >= 0 {
		begin := from + headerLen
		if _, n := d.stamp.parse(b[begin:]); n > 0 {
			begin += n
		}
		next := nextHeader(b, begin, ended)
		end := next
		if next < 0 {
			end = len(b)
		}
		kept = append(kept, b[begin:end]...)
		from = next
	}
	return kept
}

// nextHeader is where a header begins at or after from, -1 when there is none.
func nextHeader(b []byte, from int, ended bool) int {
	for i := from; i < len(b); i++ {
		zero := bytes.IndexByte(b[i:], 0)
		if zero < 0 {
			return -1
		}
		i += zero
		if i > from && isHeader(b, i-1, ended) {
			return i - 1
		}
	}
	return -1
}

// isHeader says whether a header stands at i whose length fits: the part that it
// announces ends with the line, or where the next header begins.
func isHeader(b []byte, i int, ended bool) bool {
	if !looksLikeHeader(b, i) || len(b) < i+headerLen {
		return false
	}
	length := binary.BigEndian.Uint32(b[i+4:])
	if length > 2*dockerPart {
		return false
	}
	end := i + headerLen + int(length)
	whole := len(b)
	if ended {
		whole++
	}
	return end == whole || looksLikeHeader(b, end)
}

// looksLikeHeader says whether the first four bytes of a header stand at i.
func looksLikeHeader(b []byte, i int) bool {
	return len(b) >= i+4 && (b[i] == 1 || b[i] == 2) && b[i+1] == 0 && b[i+2] == 0 && b[i+3] == 0
}

// cutTornHeader takes off the header whose length byte 0x0a was taken for the
// line's end: seven bytes of it when that is the last byte of the length, six
// when it is the one before. It comes after a full part only.
func cutTornHeader(b []byte) (text []byte, torn int) {
	for _, n := range [...]int{headerLen - 1, headerLen - 2} {
		i := len(b) - n
		if i >= dockerPart && looksLikeHeader(b, i) && b[i+4] == 0 && b[i+5] == 0 {
			return b[:i], n
		}
	}
	return b, 0
}
