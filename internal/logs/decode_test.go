package logs

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// recorded are the frames of one stream of a recording of a real server. Frames
// above 4 KiB are kept as head and tail; between them stood the letter x and the
// headers at the places told.
func recorded(tb testing.TB, file, stream string) [][]byte {
	tb.Helper()
	f, err := os.Open("../../test/testdata/rancher-recordings/" + file)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var frames [][]byte
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var e struct {
			Stream     string
			Opcode     int
			Len        int
			Payload    *string `json:"payloadBase64"`
			Head, Tail string
			HeadB64    string `json:"payloadBase64Head"`
			TailB64    string `json:"payloadBase64Tail"`
			Headers    []int  `json:"headerBytesInsideAt"`
		}
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			tb.Fatal(err)
		}
		switch {
		case e.Stream != stream || e.Opcode != 1:
		case e.Payload != nil:
			frames = append(frames, unbase(tb, *e.Payload))
		default:
			frames = append(frames, rebuild(e.Len, unbase(tb, e.HeadB64), unbase(tb, e.TailB64), e.Headers))
		}
	}
	if len(frames) == 0 {
		tb.Fatalf("%s has no frames of stream %s", file, stream)
	}
	return frames
}

func unbase(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// rebuild makes a frame of its recorded parts.
func rebuild(size int, head, tail []byte, headers []int) []byte {
	b := bytes.Repeat([]byte{'x'}, size)
	stamp := head[3:34]
	for i, at := range headers {
		end := size
		if i+1 < len(headers) {
			end = headers[i+1]
		}
		n := end - at - headerLen
		copy(b[at:], []byte{1, 0, 0, 0, 0, 0, byte(n >> 8), byte(n)})
		copy(b[at+headerLen:], stamp)
	}
	copy(b, head)
	copy(b[size-len(tail):], tail)
	return b
}

func TestDecoderReadsRecordedLongLines(t *testing.T) {
	lines := decodeAll(recorded(t, "real-logs-03-tty-and-large.jsonl", "big"))
	wants := []struct {
		output Output
		size   int
	}{{OutputStderr, 18}, {OutputStdout, 52}, {OutputStdout, 10}, {OutputStdout, 100}, {OutputUnknown, 2560}, {OutputStdout, 4000}, {OutputStdout, 16384}, {OutputStdout, 20000}, {OutputStdout, 70000}, {OutputStdout, 14}}
	if len(lines) != len(wants) {
		t.Fatalf("decoded %d lines, want %d", len(lines), len(wants))
	}
	for i, want := range wants {
		l := lines[i]
		if l.output != want.output || len(l.text) != want.size || l.nanos == 0 {
			t.Errorf("line %d = %v, %d bytes, %d ns; want %v, %d bytes", i, l.output, len(l.text), l.nanos, want.output, want.size)
		}
		if want.size >= 100 && strings.TrimRight(l.text, "x") != "" && l.text != strings.Repeat("x", want.size-1)+"E" {
			t.Errorf("line %d has something left in its %d bytes", i, len(l.text))
		}
	}
}

func TestDecoderReadsRecordedTerminal(t *testing.T) {
	lines := decodeAll(recorded(t, "real-logs-03-tty-and-large.jsonl", "tty"))
	want := got{OutputUnknown, time.Date(2026, 11, 24, 1, 45, 56, 817229841, time.UTC).UnixNano(), "app v1 stderr line"}
	if len(lines) != 18 || lines[1] != want {
		t.Fatalf("decoded %d lines, the second %v; want 18, %v", len(lines), lines[1], want)
	}
}

func TestDecoderReadsRecordedUpgrade(t *testing.T) {
	lines := decodeAll(recorded(t, "real-logs-01-follow-upgrade.jsonl", "1i2"))
	if len(lines) == 0 || lines[0].text != "tick 2 v1 49e9c403c1c3" || lines[len(lines)-1].text != "got terminated exiting" {
		t.Fatalf("decoded %v", lines)
	}
	if !slices.ContainsFunc(lines, func(g got) bool { return g.output == OutputStderr && g.text == "warn 9 v1" }) {
		t.Error("the line of standard error is missing")
	}
}

const at = "2026-11-24T01:45:56.986602739Z "

func TestDecoderQuirks(t *testing.T) {
	when := time.Date(2026, 11, 24, 1, 45, 56, 986602739, time.UTC).UnixNano()
	for _, c := range []struct {
		name   string
		frames []string
		want   []got
	}{
		{"plain", []string{"01 " + at + "a\n"}, []got{{OutputStdout, when, "a"}}},
		{"empty message", []string{"02 " + at + "\n"}, []got{{OutputStderr, when, ""}}},
		{"empty frame", []string{"", "00 " + at + "a\n"}, []got{{OutputUnknown, when, "a"}}},
		{"stray byte", []string{"", "00 H" + at + "a\n"}, []got{{OutputUnknown, when, "a"}}},
		{"bracketed time of the application", []string{"01 " + at + "a\n", "00 [" + at + "b\n"}, []got{{OutputStdout, when, "a"}, {OutputUnknown, when, "[" + at + "b"}}},
		{"lines of one docker frame", []string{"01 " + at + "a\n", "00 b\n"}, []got{{OutputStdout, when, "a"}, {OutputUnknown, when, "b"}}},
		{"several lines in a frame of an old agent", []string{"01 " + at + "a\n" + at + "b\n"}, []got{{OutputStdout, when, "a"}, {OutputStdout, when, "b"}}},
		{"half lines of an old agent", []string{"01 " + at + "a", "01 b\n"}, []got{{OutputStdout, when, "ab"}}},
		{"no line end", []string{"01 " + at + "a"}, []got{{OutputStdout, when, "a"}}},
		{"carriage return", []string{"00 " + at + "a\r\n"}, []got{{OutputUnknown, when, "a"}}},
		{"invalid utf-8", []string{"01 " + at + "a\xff\xfeb\n"}, []got{{OutputStdout, when, "a\ufffdb"}}},
		{"nul", []string{"01 " + at + "a\x00\x01\x00\x00\x00b\n"}, []got{{OutputStdout, when, "a\x00\x01\x00\x00\x00b"}}},
		{"no timestamp", []string{"01 tick 1\n"}, []got{{OutputStdout, 0, "tick 1"}}},
		{"offset", []string{"01 2026-11-24T09:45:56.986602739+08:00 a\n"}, []got{{OutputStdout, when, "a"}}},
		{"no prefix", []string{"a\n"}, []got{{OutputUnknown, 0, "a"}}},
		{"impossible month", []string{"01 2026-13-24T09:45:56Z a\n"}, []got{{OutputStdout, 0, "2026-13-24T09:45:56Z a"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var frames [][]byte
			for _, f := range c.frames {
				frames = append(frames, []byte(f))
			}
			if lines := decodeAll(frames); !slices.Equal(lines, c.want) {
				t.Errorf("decoded %+v, want %+v", lines, c.want)
			}
		})
	}
}

// Every length up to three parts and some: all ways in which a header can hold
// the byte of a line end.
func TestDecoderReadsEveryLength(t *testing.T) {
	m := message{at: time.Date(2026, 11, 24, 1, 45, 56, 5, time.UTC), output: OutputStdout}
	text := strings.Repeat("abcdefghijklmnopqrstuvwxyz", 2000)
	for _, r := range [][2]int{{0, 3000}, {dockerPart - 10, dockerPart + 3100}, {2*dockerPart - 10, 2*dockerPart + 3100}, {3*dockerPart - 10, 3*dockerPart + 300}} {
		for n := r[0]; n < r[1]; n++ {
			m.text = text[:n]
			lines := decodeAll(dockerFrames(m))
			if len(lines) != 1 || lines[0].text != m.text || lines[0].nanos != m.at.UnixNano() {
				t.Fatalf("a line of %d bytes: decoded %d lines, the first of %d bytes", n, len(lines), len(lines[0].text))
			}
		}
	}
}

func TestDecoderBoundsALine(t *testing.T) {
	var d Decoder
	var r Record
	d.Decode([]byte("01 "+at+strings.Repeat("x", MaxText+5)+"\n"), func(got Record) { r = got })
	if len(r.Text) != MaxText || !r.Truncated {
		t.Errorf("a long line has %d bytes, truncated %v; want %d, true", len(r.Text), r.Truncated, MaxText)
	}
	for range 100 {
		d.Decode(bytes.Repeat([]byte{'x'}, 16<<10), func(Record) {})
	}
	d.Flush(func(got Record) { r = got })
	if len(r.Text) != MaxText || !r.Truncated {
		t.Errorf("a line without end has %d bytes, truncated %v; want %d, true", len(r.Text), r.Truncated, MaxText)
	}
}

func TestDecoderAllocatesNothing(t *testing.T) {
	var d Decoder
	frame := []byte("01 " + at + "GET /v1/rooms 200 9ms\n")
	emit := func(Record) {}
	if n := testing.AllocsPerRun(1000, func() { d.Decode(frame, emit) }); n != 0 {
		t.Errorf("decoding a line allocates %v times, want 0", n)
	}
}

func FuzzDecoder(f *testing.F) {
	for _, s := range []string{"01 " + at + "a\n", "", "00 H" + at + "a\n", "01 " + at + "a\xff\x00\n" + "|01 b", "02 " + at + "\x01\x00\x00\x00\x00\x00\x00\x05abcd\n"} {
		f.Add([]byte(s))
	}
	for _, frame := range recorded(f, "real-logs-03-tty-and-large.jsonl", "big") {
		f.Add(frame)
	}
	// A bar begins another frame.
	f.Fuzz(func(t *testing.T, in []byte) {
		var d Decoder
		size := 0
		emit := func(r Record) {
			size += len(r.Text)
			if !utf8.Valid(r.Text) || bytes.ContainsRune(r.Text, '\n') || len(r.Text) > 3*MaxText {
				t.Fatalf("line %q is invalid", r.Text)
			}
		}
		for frame := range bytes.SplitSeq(bytes.Clone(in), []byte{'|'}) {
			d.Decode(frame, emit)
		}
		d.Flush(emit)
		if size > 3*len(in) {
			t.Fatalf("%d bytes became %d", len(in), size)
		}
	})
}

// What a container writes without line ends or binary headers comes out as it
// went in, however the agent tore it.
func FuzzDecoderKeepsText(f *testing.F) {
	f.Add("a", uint16(0))
	f.Add("2026-11-24T01:45:56Z x", uint16(2560))
	f.Add("[2026-11-24T01:45:56Z x", uint16(20000))
	f.Fuzz(func(t *testing.T, text string, pad uint16) {
		text += strings.Repeat("x", int(pad))
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\n\r\x00\x01\x02") {
			t.Skip()
		}
		lines := decodeAll(dockerFrames(message{time.Unix(1795484742, 5), OutputStderr, text}))
		if len(lines) != 1 || lines[0].text != text {
			t.Fatalf("%q of %d bytes came as %d lines", text[:min(40, len(text))], len(text), len(lines))
		}
	})
}
