package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"
)

const (
	// formatVersion is what this build writes and the newest it reads.
	formatVersion = 1
	// maxLine bounds one line, its newline included.
	maxLine = 4 << 20
	// hashKey separates a line's body from its hash.
	hashKey = `,"hash":"`
	// hashTail is the length of what follows the body: key, digits, quote, brace.
	hashTail = len(hashKey) + 2*sha256.Size + len(`"}`)
	// genesis is what the first line of all names as its predecessor.
	genesis = ""
)

// Entry is one thing that was decided, done or answered.
type Entry struct {
	// Seq numbers the entries without a gap; Append and Rotate give it.
	Seq uint64
	// Time is when it happened; zero means when it was appended.
	Time time.Time
	// Target is what the entry is about; empty means the whole process.
	Target string
	// Type says how Data is read. The name "journal" is the journal's own.
	Type string
	// Data is JSON of the caller's making; it keeps its spelling but for white
	// space.
	Data json.RawMessage
	// Snapshot marks an entry that Rotate wrote: state repeated, not news.
	Snapshot bool
}

// record is an Entry as it stands in the file, without its hash.
type record struct {
	V        int             `json:"v"`
	Seq      uint64          `json:"seq"`
	Time     time.Time       `json:"time"`
	Prev     string          `json:"prev"`
	Target   string          `json:"target,omitempty"`
	Type     string          `json:"type"`
	Snapshot bool            `json:"snapshot,omitempty"`
	Data     json.RawMessage `json:"data,omitempty"`
}

// head is a place in the chain: the last line's number and hash.
type head struct {
	seq  uint64
	hash string
}

// line is a parsed line: the entry and its links.
type line struct {
	Entry
	prev, hash string
	// end is the offset behind the line in its file; scan sets it.
	end int64
}

// VersionError says that a file was written by a newer Drover.
type VersionError struct {
	// Version is the version found.
	Version int
}

// Error names both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("the journal has version %d and this build reads up to %d: run a newer drover, or move the file away", e.Version, formatVersion)
}

var (
	errNoHash   = errors.New("no hash at its end")
	errBadHash  = errors.New("hash does not match its contents")
	errTooLong  = errors.New("longer than any line the journal writes")
	errNoType   = errors.New("entry has no type")
	errReserved = errors.New(`type "journal" is reserved`)
)

// checkEntry refuses what a caller may not write.
func checkEntry(e Entry) error {
	switch e.Type {
	case "":
		return errNoType
	case markerType:
		return errReserved
	}
	return nil
}

// encodeLine appends the entry's line to buf and returns the chain's new head.
func encodeLine(buf *bytes.Buffer, e Entry, at head) (head, error) {
	start := buf.Len()
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false) // A launch configuration keeps its < and &.
	err := enc.Encode(record{
		V: formatVersion, Seq: at.seq + 1, Time: e.Time.UTC().Round(0), Prev: at.hash,
		Target: e.Target, Type: e.Type, Snapshot: e.Snapshot, Data: e.Data,
	})
	if err != nil {
		buf.Truncate(start)
		return at, fmt.Errorf("encoding a %q entry: %w", e.Type, err)
	}
	buf.Truncate(buf.Len() - len("}\n"))
	sum := hashBody(sha256.New(), buf.Bytes()[start:])
	fmt.Fprintf(buf, "%s%s\"}\n", hashKey, sum)
	if n := buf.Len() - start; n > maxLine {
		buf.Truncate(start)
		return at, fmt.Errorf("encoding a %q entry: %d bytes are more than %d", e.Type, n, maxLine)
	}
	return head{seq: at.seq + 1, hash: sum}, nil
}

// hashBody hashes a line's body and the brace that its hash member displaced.
func hashBody(h hash.Hash, body []byte) string {
	h.Write(body)
	h.Write([]byte("}"))
	return hex.EncodeToString(h.Sum(nil))
}

// parseLine reads one line without its newline and checks its hash. It does not
// check its links; that takes the line before.
func parseLine(b []byte) (line, error) {
	// The version comes first: a later one may hash differently.
	if v, isNewer := newerVersion(b); isNewer {
		return line{}, &VersionError{Version: v}
	}
	cut := len(b) - hashTail
	if cut < 0 || string(b[cut:cut+len(hashKey)]) != hashKey || !bytes.HasSuffix(b, []byte(`"}`)) {
		return line{}, errNoHash
	}
	sum := hashBody(sha256.New(), b[:cut])
	if sum != string(b[cut+len(hashKey):len(b)-len(`"}`)]) {
		return line{}, errBadHash
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return line{}, err
	}
	if r.V != formatVersion {
		return line{}, fmt.Errorf("version %d is none", r.V)
	}
	e := Entry{Seq: r.Seq, Time: r.Time, Target: r.Target, Type: r.Type, Data: r.Data, Snapshot: r.Snapshot}
	return line{Entry: e, prev: r.Prev, hash: sum}, nil
}

// newerVersion reads the version where every version has it: as the first member
// of a JSON object.
func newerVersion(b []byte) (int, bool) {
	rest, ok := strings.CutPrefix(string(b[:min(len(b), 24)]), `{"v":`)
	if !ok {
		return 0, false
	}
	var v int
	if _, err := fmt.Sscanf(rest, "%d,", &v); err != nil {
		return 0, false
	}
	return v, v > formatVersion && json.Valid(b)
}
