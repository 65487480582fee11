package journal

import (
	"fmt"
	"os"
	"path/filepath"
)

// Report is what Verify found in one file.
type Report struct {
	// Path is the file.
	Path string
	// Lines is the number of intact lines, the journal's own included.
	Lines int
	// First and Last are the numbers of its first and last line.
	First, Last uint64
	// Torn is the number of bytes behind the last newline: a line being written
	// now, or one that a crash cut short.
	Torn int64
	// Head is the hash of the last line; it stands for the whole chain.
	Head string
}

// Verify checks every line and link of one file. Damage is a *CorruptError; the
// report covers what is intact before it.
func Verify(path string) (Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return Report{Path: path}, fmt.Errorf("verifying the journal: %w", err)
	}
	defer f.Close()
	x, err := scan(f, nil)
	if err != nil {
		err = fmt.Errorf("verifying %s: %w", path, err)
	}
	return report(path, x), err
}

// report words an extent.
func report(path string, x extent) Report {
	return Report{Path: path, Lines: x.lines, First: x.first, Last: x.last.seq, Torn: x.torn, Head: x.last.hash}
}

// VerifyDir checks the active file, the rotated ones and the links between
// them. Files that were pruned at the old end are not missed; one missing
// between others is damage.
func VerifyDir(dir string) ([]Report, error) {
	var reports []Report
	var before extent
	r := &Reader{dir: dir}
	err := r.eachFile(func(path string, f file) error {
		x, err := scan(f, nil)
		reports = append(reports, report(path, x))
		if err == nil && before.lines > 0 && (x.prev != before.last.hash || x.first != before.last.seq+1) {
			err = &CorruptError{Line: 1, Cause: fmt.Errorf("does not continue %s", filepath.Base(reports[len(reports)-2].Path))}
		}
		if err != nil {
			return fmt.Errorf("verifying %s: %w", path, err)
		}
		before = x
		return nil
	})
	return reports, err
}
