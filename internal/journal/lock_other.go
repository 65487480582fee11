//go:build !unix

package journal

import (
	"errors"
	"fmt"
	"io"
)

// lockDir refuses: without a lock that dies with its holder two processes could
// write one journal. Reading works everywhere.
func lockDir(dir string) (io.Closer, error) {
	return nil, fmt.Errorf("locking %s: %w on this system", dir, errors.ErrUnsupported)
}
