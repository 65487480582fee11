package logs

import (
	"bytes"
	"unicode/utf8"
)

const (
	// MaxText bounds the text of one line, in bytes as they were sent; the rest of
	// a longer one is cut off.
	MaxText = 256 << 10
	// dockerPart is the size at which Docker's copier splits a line; each part
	// travels with a header and a timestamp of its own (moby, daemon/logger/copier.go).
	dockerPart = 16 << 10
	// headerLen is the length of a header of Docker's multiplexed stream: output,
	// three zero bytes, length in four bytes (moby, pkg/stdcopy).
	headerLen = 8
)

// Record is one decoded line. Text is only valid during the call that hands it
// over.
type Record struct {
	// Output is where it was written.
	Output Output
	// Nanos is the time in Unix nanoseconds; a line without a timestamp has that of
	// the line before, 0 when there is none.
	Nanos int64
	// Text is the line without its end, valid UTF-8.
	Text []byte
	// Truncated says that the line was longer than MaxText.
	Truncated bool
}

// Decoder turns the frames of one connection into lines. The zero value is ready.
//
// Rancher's agent splits Docker's multiplexed stream at line ends and only then
// looks for the binary headers (rancher/agent, service/hostapi/logs/logs.go), so
// that a header which holds the byte 0x0a is torn apart and one in the middle of
// a long line stays there. Agents before it sent a frame per write of Docker:
// several lines, or a part of one.
type Decoder struct {
	stamp stampParser
	// last is the time of the last line that had one.
	last int64
	// afterEmpty says that the frame before was empty: a header torn in front of
	// this one.
	afterEmpty bool
	// part is a line whose end is still to come.
	part part
	// valid is scratch space for repaired text.
	valid []byte
}

// part is the beginning of a line.
type part struct {
	held      bool
	output    Output
	nanos     int64
	text      []byte
	truncated bool
	// lastLen is the length of the last piece: a full one is continued.
	lastLen int
	// torn is how many bytes of a header came before the line end that tore it; 0
	// when it was not torn.
	torn int
}

// Decode takes one frame and hands over the lines that it completes. It may
// change frame, and keeps nothing of it.
func (d *Decoder) Decode(frame []byte, emit func(Record)) {
	if len(frame) == 0 {
		d.afterEmpty = true
		return
	}
	output, rest := cutOutput(frame)
	if d.restOfTornHeader(output, rest) {
		return
	}
	for len(rest) > 0 {
		line, tail, ended := bytes.Cut(rest, newline)
		d.line(output, line, ended, emit)
		d.afterEmpty = false
		rest = tail
	}
	d.afterEmpty = false
}

// restOfTornHeader says whether a frame is but the second of two line ends in a
// header: a payload of 0x0a0a bytes.
func (d *Decoder) restOfTornHeader(output Output, rest []byte) bool {
	if output != OutputUnknown || len(rest) != 1 || rest[0] != '\n' {
		return false
	}
	if d.part.held && d.part.torn == headerLen-2 {
		d.part.torn++
		return true
	}
	return d.afterEmpty
}

// Flush hands over a line whose end did not come. It is called when the stream
// ended.
func (d *Decoder) Flush(emit func(Record)) {
	if !d.part.held {
		return
	}
	p := &d.part
	r := Record{Output: p.output, Nanos: p.nanos, Text: p.text, Truncated: p.truncated}
	d.emit(r, emit)
	d.part = part{text: p.text[:0]}
}

var newline = []byte{'\n'}

// cutOutput takes the two digits and the space off a frame.
func cutOutput(frame []byte) (Output, []byte) {
	if len(frame) < 3 || frame[0] != '0' || frame[1] < '0' || frame[1] > '2' || frame[2] != ' ' {
		return OutputUnknown, frame
	}
	return Output(frame[1] - '0'), frame[3:]
}

// line takes one line, or a part of one.
func (d *Decoder) line(output Output, b []byte, ended bool, emit func(Record)) {
	if d.part.held {
		if rest, ok := d.continued(output, b); ok {
			d.extend(rest, ended, emit)
			return
		}
		d.Flush(emit)
	}
	nanos, b, ok := d.cutStamp(output, b)
	if ok {
		d.last = nanos
	}
	text := d.dropHeaders(b, ended)
	torn := 0
	if ended {
		text, torn = cutTornHeader(text)
	}
	if ended && torn == 0 {
		d.emit(Record{Output: output, Nanos: d.last, Text: text}, emit)
		return
	}
	d.part = part{held: true, output: output, nanos: d.last, text: d.part.text[:0]}
	d.hold(text, torn)
}

// cutStamp takes the timestamp off a line. After an empty frame one byte of a
// torn header may stand before it; a byte that nobody types may as well.
func (d *Decoder) cutStamp(output Output, b []byte) (int64, []byte, bool) {
	if nanos, n := d.stamp.parse(b); n > 0 {
		return nanos, b[n:], true
	}
	if output != OutputUnknown || len(b) == 0 || !d.afterEmpty && b[0] >= ' ' && b[0] < 0x7f {
		return 0, b, false
	}
	if nanos, n := d.stamp.parse(b[1:]); n > 0 {
		return nanos, b[1+n:], true
	}
	return 0, b, false
}

// continued says whether b goes on with the line held, and returns what of it is
// text.
func (d *Decoder) continued(output Output, b []byte) ([]byte, bool) {
	if d.part.torn > 0 {
		// The header's last byte is the first one here when the line end tore it one
		// byte earlier.
		skip := headerLen - 1 - d.part.torn
		if len(b) < skip {
			return nil, false
		}
		_, n := d.stamp.parse(b[skip:])
		return b[skip+n:], n > 0
	}
	_, n := d.stamp.parse(b)
	if n == 0 {
		return b, output == d.part.output
	}
	return b[n:], output == d.part.output && d.part.lastLen == dockerPart
}

// extend adds b to the line held, and hands it over when it is complete.
func (d *Decoder) extend(b []byte, ended bool, emit func(Record)) {
	text := d.dropHeaders(b, ended)
	torn := 0
	if ended {
		text, torn = cutTornHeader(text)
	}
	d.hold(text, torn)
	if ended && torn == 0 {
		d.Flush(emit)
	}
}

// hold appends text to the line held, within its bound.
func (d *Decoder) hold(text []byte, torn int) {
	p := &d.part
	p.torn, p.lastLen = torn, len(text)
	if room := MaxText - len(p.text); len(text) > room {
		text, p.truncated = text[:room], true
	}
	p.text = append(p.text, text...)
}

// emit hands a line over: without carriage return, bounded, in valid UTF-8.
func (d *Decoder) emit(r Record, emit func(Record)) {
	r.Text = bytes.TrimSuffix(r.Text, []byte{'\r'})
	if len(r.Text) > MaxText {
		r.Text, r.Truncated = r.Text[:MaxText], true
	}
	if !utf8.Valid(r.Text) {
		d.valid = appendValid(d.valid[:0], r.Text)
		r.Text = d.valid
	}
	emit(r)
}

// appendValid appends b to dst with each run of invalid bytes replaced by one
// replacement character.
func appendValid(dst, b []byte) []byte {
	for bad := false; len(b) > 0; {
		r, n := utf8.DecodeRune(b)
		invalid := r == utf8.RuneError && n == 1
		if !invalid || !bad {
			dst = utf8.AppendRune(dst, r)
		}
		bad = invalid
		b = b[n:]
	}
	return dst
}
