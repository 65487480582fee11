// Package watchtest is a pseudo-terminal with somebody in front of it, for tests of programs that draw: what the program
// writes is shown by an emulator, and its questions are answered.
//
//	term := watchtest.New(t, 120, 40)
//	go run(term.TTY)
//	term.Press("f")
//	term.Await(time.Minute, "the screen shows it", func(screen string) bool { … })
package watchtest

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
)

// Terminal is one of them. It ends with its test.
type Terminal struct {
	// TTY is the program's side. It is never closed by hand: the program's reader ends by itself some time after the
	// program, and a Close beside it would be a race.
	TTY *os.File

	t      *testing.T
	master *os.File
	mu     sync.Mutex
	screen *vt.Emulator
	// changed holds a token when something was written to the screen.
	changed chan struct{}
	// tape gets what is written, where there is one.
	tape func(output []byte)
}

// New opens a terminal of so many columns and rows.
func New(t *testing.T, width, height int) *Terminal {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	master = interruptible(t, master)
	term := &Terminal{TTY: tty, t: t, master: master, screen: vt.NewEmulator(width, height), changed: make(chan struct{}, 1)}
	term.Resize(width, height)
	var shown, answered sync.WaitGroup
	shown.Go(term.show)
	answered.Go(term.answer)
	t.Cleanup(func() {
		master.Close() // It hangs the terminal up.
		shown.Wait()
		term.screen.InputPipe().(io.Closer).Close() // Its Close is not for use beside Read.
		answered.Wait()
	})
	return term
}

// interruptible is the same terminal in a file whose reads end when it is closed: asking pty's own for its descriptor
// has left that one blocking.
func interruptible(t *testing.T, master *os.File) *os.File {
	t.Helper()
	fd, err := syscall.Dup(int(master.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	syscall.CloseOnExec(fd)
	if err := errors.Join(syscall.SetNonblock(fd, true), master.Close()); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), master.Name())
}

// show feeds the emulator.
func (term *Terminal) show() {
	output := make([]byte, 64<<10)
	for {
		n, err := term.master.Read(output)
		if err != nil {
			return
		}
		term.mu.Lock()
		_, _ = term.screen.Write(output[:n])
		if term.tape != nil {
			term.tape(output[:n])
		}
		term.mu.Unlock()
		select {
		case term.changed <- struct{}{}:
		default:
		}
	}
}

// answer answers what the program asks of the terminal.
func (term *Terminal) answer() {
	answers := make([]byte, 4096)
	for {
		n, err := term.screen.Read(answers)
		if err != nil {
			return
		}
		_, _ = term.master.Write(answers[:n]) // Nobody listens any more.
	}
}

// Resize changes its size, and tells this process.
func (term *Terminal) Resize(width, height int) {
	term.t.Helper()
	term.mu.Lock()
	term.screen.Resize(width, height)
	term.mu.Unlock()
	if err := pty.Setsize(term.TTY, &pty.Winsize{Rows: uint16(height), Cols: uint16(width)}); err != nil { //nolint:gosec // A screen is small.
		term.t.Fatal(err)
	}
	// The kernel tells the processes whose terminal it is; this one only opened it.
	if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil {
		term.t.Fatal(err)
	}
}

// Tape hands over what the program writes from now on, in the order in which the
// screen shows it. The bytes are valid during the call.
func (term *Terminal) Tape(take func(output []byte)) {
	term.mu.Lock()
	defer term.mu.Unlock()
	term.tape = take
}

// Press types keys.
func (term *Terminal) Press(keys string) {
	term.t.Helper()
	if _, err := term.master.WriteString(keys); err != nil {
		term.t.Fatal(err)
	}
}

// Text is the screen, row by row, without colours.
func (term *Terminal) Text() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.screen.String()
}

// Await waits until the screen is so, at most for limit; what names it in the failure.
func (term *Terminal) Await(limit time.Duration, what string, is func(screen string) bool) {
	term.t.Helper()
	late := time.After(limit)
	for !is(term.Text()) {
		select {
		case <-term.changed:
		case <-late:
			term.t.Fatalf("not within %s: %s\n%s", limit, what, term.Text())
		}
	}
}

// Settle waits until nothing has changed for a second.
func (term *Terminal) Settle() {
	for {
		select {
		case <-term.changed:
		case <-time.After(time.Second):
			return
		}
	}
}
