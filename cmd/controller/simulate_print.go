package main

import (
	"fmt"
	"io"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/simulation"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
)

// printSimulated prints a row for each rollout, and under the table what was
// changed and what limits the answer.
func printSimulated(out io.Writer, all []simulated) error {
	rows := [][]string{{"STARTED", "TARGET", "DIGEST", "HAPPENED", "AFTER", "WOULD HAVE", "AFTER", "WHY"}}
	for i := range all {
		rows = append(rows, simulatedRow(&all[i]))
	}
	if err := printTable(out, rows); err != nil {
		return err
	}
	fmt.Fprintln(out)
	for _, line := range remarks(all) {
		fmt.Fprintln(out, line)
	}
	fmt.Fprintln(out, simulatedSum(all))
	return nil
}

func simulatedRow(s *simulated) []string {
	row := []string{s.Started.UTC().Format(time.RFC3339), s.Target, web.Short(s.Digest)}
	if s.Was != nil {
		row = append(row, string(s.Was.Fate), afterText(s.Was))
	} else {
		row = append(row, s.Outcome, "")
	}
	switch {
	case s.Unknown != "":
		return append(row, "cannot tell", "", s.Unknown)
	case !s.Differs:
		return append(row, "the same", "", "")
	}
	return append(row, string(s.Would.Fate), afterText(s.Would), s.Would.Reason)
}

// afterText is when it was decided; empty for what did not begin.
func afterText(e *simulation.Ending) string {
	if e.Fate == simulation.NotStarted {
		return ""
	}
	return e.After().Round(time.Second).String()
}

// remarks are the keys that were changed, and the notes, each once with how many
// rollouts it is about.
func remarks(all []simulated) []string {
	var order []string
	count := map[string]int{}
	add := func(line string) {
		if count[line]++; count[line] == 1 {
			order = append(order, line)
		}
	}
	for i := range all {
		for _, c := range all[i].Changed {
			add("changed: " + c.String())
		}
	}
	for i := range all {
		for _, n := range all[i].Limits {
			add("note: " + n)
		}
	}
	for i := range all {
		for _, n := range all[i].Notes {
			add("note: " + web.Short(all[i].Digest) + ": " + n)
		}
	}
	lines := make([]string, len(order))
	for i, line := range order {
		lines[i] = oneLine(line)
		if n := count[line]; n > 1 {
			lines[i] += fmt.Sprintf(" (%d rollouts)", n)
		}
	}
	return lines
}

// simulatedSum counts them.
func simulatedSum(all []simulated) string {
	differs, unknown := 0, 0
	for i := range all {
		switch {
		case all[i].Differs:
			differs++
		case all[i].Unknown != "":
			unknown++
		}
	}
	text := fmt.Sprintf("%s: %d would have ended otherwise, %d the same", counted(len(all), "rollout"), differs, len(all)-differs-unknown)
	if unknown > 0 {
		text += fmt.Sprintf(", %d cannot be told", unknown)
	}
	return text
}
