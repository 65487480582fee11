package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/compose"
)

func lintCommand(_ *options) *cobra.Command {
	l := &lint{}
	cmd := &cobra.Command{
		Use:   "lint FILE|DIRECTORY...",
		Short: "Check compose files for what makes rollouts unsafe",
		Long: `Check pairs of docker-compose.yml and rancher-compose.yml. Of a pair it is enough
to name their directory, or one file when the other has its usual name. Exit 1 when
anything fails, with --strict also when anything warns.

Rules:

` + ruleTable(),
		Example: `  drover lint docker-compose.yml rancher-compose.yml
  drover lint --ignore floating-tag,host-port stacks/*`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return l.run(cmd, args) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&l.ignore, "ignore", nil, "rules to leave out")
	f.BoolVar(&l.strict, "strict", false, "warnings fail too")
	f.BoolVar(&l.asJSON, "json", false, "print JSON")
	return cmd
}

type lint struct {
	ignore         []string
	strict, asJSON bool
}

func ruleTable() string {
	var b strings.Builder
	for _, r := range compose.Rules {
		b.WriteString(hang(fmt.Sprintf("    %-22s  %s  ", r.Name, r.Level), r.Meaning, helpWidth) + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

func (l *lint) run(cmd *cobra.Command, args []string) error {
	for _, name := range l.ignore {
		if !slices.ContainsFunc(compose.Rules, func(r compose.Rule) bool { return r.Name == name }) {
			return usage("there is no rule %q: see drover help lint", name)
		}
	}
	files, err := pairs(args)
	if err != nil {
		return err
	}
	checks := []check{}
	for _, pair := range files {
		stack, err := readStack("", pair)
		if err != nil {
			return err
		}
		checks = append(checks, l.checks(stack)...)
	}
	return reportChecks(cmd.OutOrStdout(), checks, l.asJSON)
}

// checks are the problems of a stack that are asked for.
func (l *lint) checks(stack *compose.Stack) []check {
	var found []check
	for _, p := range compose.Lint(stack) {
		if slices.Contains(l.ignore, p.Rule) {
			continue
		}
		level := levelWarn
		if p.Level == compose.LevelFail || l.strict {
			level = levelFail
		}
		found = append(found, check{level, fmt.Sprintf("%s:%d", p.File, p.Line), fmt.Sprintf("%s: %s [%s]", p.Service, p.Text, p.Rule)})
	}
	return found
}

// The usual names of a pair.
const (
	dockerCompose  = "docker-compose.yml"
	rancherCompose = "rancher-compose.yml"
)

// pairs are the files of each directory, docker-compose.yml first: a hook hands
// over only those that changed.
func pairs(paths []string) ([][]string, error) {
	var all [][]string
	seen := map[string]bool{}
	for _, path := range paths {
		dir := filepath.Dir(path)
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			dir = filepath.Clean(path)
		}
		if seen[dir] {
			continue
		}
		seen[dir] = true
		pair, err := pairIn(dir, paths)
		if err != nil {
			return nil, err
		}
		all = append(all, pair)
	}
	return all, nil
}

func pairIn(dir string, paths []string) ([]string, error) {
	docker, rancher := filepath.Join(dir, dockerCompose), filepath.Join(dir, rancherCompose)
	for _, path := range paths {
		switch {
		case filepath.Dir(path) != dir || filepath.Clean(path) == dir:
		case strings.Contains(filepath.Base(path), "rancher"):
			rancher = path
		default:
			docker = path
		}
	}
	if _, err := os.Stat(docker); err != nil {
		return nil, fmt.Errorf("reading a compose file: %w", err)
	}
	if _, err := os.Stat(rancher); err != nil {
		return []string{docker}, nil //nolint:nilerr // A stack without one has no health checks, and lint says so.
	}
	return []string{docker, rancher}, nil
}
