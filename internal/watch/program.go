package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	tea "charm.land/bubbletea/v2"
)

// Run shows the model on a terminal until the person leaves or ctx ends. It
// returns the last model: what was followed and where it stands.
func Run(ctx context.Context, m Model, f *Feed, in io.Reader, out io.Writer, o ...tea.ProgramOption) (Model, error) {
	ctx, cancel := context.WithCancel(ctx)
	// Signals are the caller's: Ctrl-C is a key here, and SIGTERM ends ctx.
	o = append([]tea.ProgramOption{tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler()}, o...)
	p := tea.NewProgram(m, o...)
	var feeding sync.WaitGroup
	defer feeding.Wait()
	defer cancel()
	feeding.Go(func() { f.Run(ctx, func(msg any) { p.Send(msg) }) })
	last, err := p.Run()
	if left, ok := last.(Model); ok {
		m = left
	}
	if err != nil && !errors.Is(err, tea.ErrInterrupted) && ctx.Err() == nil {
		return m, fmt.Errorf("showing the terminal: %w", err)
	}
	return m, nil
}
