package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// repeatEvery is the pause between two looks of --watch.
const repeatEvery = time.Second

// repeat shows the same again and again until the context ends: on a terminal in
// place, elsewhere whenever more than a figure changed. What fails is shown as well,
// and tried again: a daemon that restarts does not end it.
func repeat(cmd *cobra.Command, every time.Duration, show func(ctx context.Context, out io.Writer) error) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	isScreen := isTerminal(out)
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := ""
	for {
		var page bytes.Buffer
		if err := show(ctx, &page); err != nil && ctx.Err() == nil {
			fmt.Fprintf(&page, "drover: %s\n", oneLine(err.Error()))
		}
		text := page.String()
		var err error
		switch key := withoutAges(text); {
		case isScreen:
			err = redraw(out, text)
		case key != last && ctx.Err() == nil:
			last = key
			_, err = io.WriteString(out, text)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil // Ctrl-C is how it ends.
		case <-tick.C:
		}
	}
}

// age is how long something lasts, or ago it was, in a column of its own.
var age = regexp.MustCompile(`^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$`)

// withoutAges is a page in which no time passes: a column of ages changes its unit
// and its width too.
func withoutAges(page string) string {
	words := strings.Fields(page)
	return withoutFigures(strings.Join(slices.DeleteFunc(words, age.MatchString), " "))
}

// redraw writes a page over the one before: home, each line cleared to its end, and
// what is left of a longer page (ECMA-48: CUP, EL, ED).
func redraw(out io.Writer, text string) error {
	_, err := io.WriteString(out, "\x1b[H"+strings.ReplaceAll(text, "\n", "\x1b[K\n")+"\x1b[J")
	return err
}
