package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manCommand writes the manual pages, so that a binary that was copied somewhere
// brings them along.
func manCommand(_ *options) *cobra.Command {
	return &cobra.Command{
		Use:   "man DIRECTORY",
		Short: "Write the manual pages into a directory",
		Long: `Write a manual page for every command, as drover-watch.1, into a directory, which is
made when it is missing. man finds them in a man1 directory below its path.`,
		Example: `  drover man ~/.local/share/man/man1 && man drover-watch
  drover man . && man -l ./drover.1`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := writeManPages(cmd.Root(), args[0])
			if err != nil {
				return fmt.Errorf("writing manual pages: %w", err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d manual pages in %s\n", n, args[0])
			return err
		},
	}
}

// writeManPages writes a page for each command that help shows, and says how many.
func writeManPages(cmd *cobra.Command, dir string) (int, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	page, err := manPage(cmd)
	if err != nil {
		return 0, err
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + "." + manSection
	if err := os.WriteFile(filepath.Join(dir, name), page, 0o644); err != nil {
		return 0, err
	}
	written := 1
	for _, c := range cmd.Commands() {
		if !c.IsAvailableCommand() || c.IsAdditionalHelpTopicCommand() {
			continue
		}
		n, err := writeManPages(c, dir)
		if err != nil {
			return 0, err
		}
		written += n
	}
	return written, nil
}

// manSection is that of programs.
const manSection = "1"

// manPage is one page.
func manPage(cmd *cobra.Command) ([]byte, error) {
	cmd.DisableAutoGenTag = true // Its date would differ from build to build.
	at := builtAt()
	header := &doc.GenManHeader{Section: manSection, Source: "drover " + version, Manual: "Drover", Date: &at}
	var b bytes.Buffer
	if err := doc.GenMan(cmd, header, &b); err != nil {
		return nil, err
	}
	return tidyPage(b.Bytes(), at), nil
}

// What cobra's pages need to be proper ones.
var (
	// A flag's text hangs below the flag, instead of standing behind a tab, and what
	// is off or empty by default is not said.
	manFlag    = regexp.MustCompile(`(?m)^(?:\.PP\n)?(\\fB-.*)\n\t(.*)$`)
	manDefault = regexp.MustCompile(`(?m)^(\\fB-.*)(?:\[=false\]|=""|\[=\[\]\]|=\[\])$`)
	// A date is written year first (man-pages(7)).
	manTitle = regexp.MustCompile(`(?m)^(\.TH "[^"]*" "[^"]*") "[^"]*"`)
	// Empty lines would be printed beside the space between paragraphs.
	manCode = regexp.MustCompile(`(?ms)^\.EX$.*?^\.EE$`)
	manGap  = regexp.MustCompile(`\n{2,}`)
)

func tidyPage(page []byte, at time.Time) []byte {
	page = manTitle.ReplaceAll(page, []byte("$1 \""+at.UTC().Format(time.DateOnly)+"\""))
	page = manFlag.ReplaceAll(page, []byte(".TP\n$1\n$2"))
	page = manDefault.ReplaceAll(page, []byte("$1"))
	var tidy []byte
	last := 0
	for _, code := range manCode.FindAllIndex(page, -1) {
		tidy = append(tidy, manGap.ReplaceAll(page[last:code[0]], []byte("\n"))...)
		tidy = append(tidy, page[code[0]:code[1]]...)
		last = code[1]
	}
	return append(tidy, manGap.ReplaceAll(page[last:], []byte("\n"))...)
}

// builtAt is the time that SOURCE_DATE_EPOCH says (https://reproducible-builds.org),
// or else that of the commit that was built, or now.
func builtAt() time.Time {
	if epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		return time.Unix(epoch, 0)
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Now()
	}
	for _, s := range info.Settings {
		if at, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
			return at
		}
	}
	return time.Now()
}
