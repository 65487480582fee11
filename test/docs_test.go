package test

import (
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// constants are the values of a file's string constants of one type, by name.
func constants(s source, typeName string) map[string]string {
	found := map[string]string{}
	for _, d := range s.syntax.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			if t, ok := v.Type.(*ast.Ident); !ok || t.Name != typeName {
				continue
			}
			for i, name := range v.Names {
				if text, ok := v.Values[i].(*ast.BasicLit); ok {
					found[name.Name], _ = strconv.Unquote(text.Value) // The parser has checked it.
				}
			}
		}
	}
	return found
}

// row matches a row of a table, and coded the words in its first cell that are
// written as code.
var (
	row   = regexp.MustCompile(`(?m)^\| (.+) \|$`)
	coded = regexp.MustCompile("`([^`]+)`")
)

// section is the part of a page from a heading to the next of its level.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	level := heading[:strings.IndexByte(heading, ' ')+1]
	_, rest, ok := strings.Cut(page, "\n"+heading+"\n")
	if !ok {
		t.Fatalf("no heading %q", heading)
	}
	text, _, _ := strings.Cut(rest, "\n"+level)
	return text
}

// explanations are the rows of all tables in a text: the words their first cells
// name, with the other cells.
func explanations(t *testing.T, text string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(text, -1) {
		cells := strings.Split(m[1], " | ")
		for _, c := range coded.FindAllStringSubmatch(cells[0], -1) {
			if _, twice := found[c[1]]; twice {
				t.Errorf("%q is explained twice", c[1])
			}
			found[c[1]] = cells[1:]
		}
	}
	return found
}

// compareTable holds a table to the constants that it explains.
func compareTable(t *testing.T, where string, explained map[string][]string, want map[string]string) {
	t.Helper()
	if len(want) < 5 {
		t.Fatalf("%s: found %d constants: the test looks in the wrong place", where, len(want))
	}
	known := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		known[want[name]] = true
		if explained[want[name]] == nil {
			t.Errorf("%s does not explain %q (%s)", where, want[name], name)
		}
	}
	for _, word := range slices.Sorted(maps.Keys(explained)) {
		if !known[word] {
			t.Errorf("%s explains %q, which the code does not know", where, word)
		}
	}
}

func TestEveryReasonIsExplained(t *testing.T) {
	codes := constants(parsed(t, "pkg/reconcile/reasons.go", nil), "Code")
	explained := explanations(t, section(t, read(t, "docs/operations.md"), "## Reasons"))
	compareTable(t, "docs/operations.md, Reasons", explained, codes)
	for code, cells := range explained {
		if len(cells) != 2 || strings.TrimSpace(cells[0]) == "" || strings.TrimSpace(cells[1]) == "" {
			t.Errorf("%q has %d cells %q, want a meaning and what to do", code, len(cells), cells)
		}
	}
}

func TestEveryJournalLineIsExplained(t *testing.T) {
	types := constants(parsed(t, "pkg/reconcile/events.go", nil), "EventKind")
	for _, name := range []string{"history", "answer", "evidence"} {
		if !strings.Contains(read(t, "internal/controller/state.go"), strconv.Quote(name)) {
			t.Errorf("internal/controller/state.go has no entry type %q any more", name)
		}
		types[name] = name
	}
	types["marker"] = "journal"
	explained := explanations(t, section(t, read(t, "docs/operations.md"), "### A line"))
	compareTable(t, "docs/operations.md, A line", explained, types)
}

func TestEveryStateIsExplained(t *testing.T) {
	s := parsed(t, "pkg/reconcile/decision.go", nil)
	page := read(t, "docs/design.md")
	compareTable(t, "docs/design.md, States", explanations(t, section(t, page, "## States")), constants(s, "Phase"))
}

func TestEveryPackageIsInTheDesign(t *testing.T) {
	packages := map[string]string{}
	for p := range mayImport {
		if !strings.HasPrefix(p, "test") {
			packages[p] = p
		}
	}
	compareTable(t, "docs/design.md, Packages", explanations(t, section(t, read(t, "docs/design.md"), "## Packages")), packages)
}

// link matches a Markdown link; group 1 is where it leads.
var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// fence matches a block of code, with its language.
var fence = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")

// markdown are the pages of the repository that people read.
func markdown(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	walk(t, func(rel string) {
		if path.Ext(rel) == ".md" && !strings.Contains(rel, "testdata/") {
			pages[rel] = read(t, rel)
		}
	})
	return pages
}

func TestLinksLeadSomewhere(t *testing.T) {
	pages := markdown(t)
	if len(pages) < 5 {
		t.Fatalf("found %d pages: the test looks in the wrong place", len(pages))
	}
	for _, rel := range slices.Sorted(maps.Keys(pages)) {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(pages[rel], ""), -1) {
			if problem := follow(rel, m[1], pages); problem != "" {
				t.Errorf("%s: link to %s: %s", rel, m[1], problem)
			}
		}
	}
}

// follow says what is wrong with a link of a page; links that leave the
// repository are not followed.
func follow(rel, target string, pages map[string]string) string {
	if strings.Contains(target, "://") {
		return ""
	}
	file, anchor, _ := strings.Cut(target, "#")
	name := rel
	if file != "" {
		name = path.Join(path.Dir(rel), file)
	}
	if _, err := os.Stat(filepath.Join(root, name)); err != nil {
		return "there is no " + name
	}
	if anchor != "" && !slices.Contains(anchors(pages[name]), anchor) {
		return "there is no such heading"
	}
	return ""
}

// anchors are the names that GitLab and GitHub give to the headings of a page.
func anchors(page string) []string {
	var found []string
	for _, line := range strings.Split(fence.ReplaceAllString(page, ""), "\n") {
		if !strings.HasPrefix(line, "#") {
			continue
		}
		text := strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#")))
		found = append(found, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return r
			}
			return -1
		}, text))
	}
	return found
}

func TestLinkComplaints(t *testing.T) {
	pages := map[string]string{"docs/design.md": "# One\n\n## What's new, today?\n```\n# no heading\n```\n", "README.md": ""}
	for target, isGood := range map[string]bool{
		"https://rancher.example/x":        true,
		"docs/design.md":                   true,
		"docs/design.md#whats-new-today":   true,
		"#anything":                        false,
		"docs/design.md#no-heading":        false,
		"docs/design.md#whats-new":         false,
		"docs/there-is-no-such-page.md":    false,
		"docs/there-is-no-such-page.md#at": false,
	} {
		if got := follow("README.md", target, pages); (got == "") != isGood {
			t.Errorf("follow(%q) = %q, want a complaint: %t", target, got, !isGood)
		}
	}
}

// TestReadmesAreInStep holds the Chinese README to the English one: the same
// chapters, commands, examples and links.
func TestReadmesAreInStep(t *testing.T) {
	english, chinese := outline(read(t, "README.md")), outline(read(t, "README.zh-CN.md"))
	if len(english) < 10 {
		t.Fatalf("README.md has %d headings, blocks and links: the test no longer finds them", len(english))
	}
	for i := range max(len(english), len(chinese)) {
		var e, c string
		if i < len(english) {
			e = english[i]
		}
		if i < len(chinese) {
			c = chinese[i]
		}
		if e != c {
			t.Fatalf("the READMEs part at their heading, block or link number %d:\nREADME.md:       %.200q\nREADME.zh-CN.md: %.200q", i+1, e, c)
		}
	}
}

// comment matches a comment in an example, which each language words for itself.
var comment = regexp.MustCompile(`\s+#( .*)?$`)

// outline is what two languages of a page share, in order: the levels of the
// headings, and the blocks of code but for their comments. Links follow, sorted,
// because sentences order them differently.
func outline(page string) []string {
	var shared, links []string
	for _, m := range fence.FindAllStringSubmatch(page, -1) {
		var lines []string
		for _, line := range strings.Split(m[2], "\n") {
			if line = comment.ReplaceAllString(line, ""); line != "" && !strings.HasPrefix(line, "# ") {
				lines = append(lines, line)
			}
		}
		shared = append(shared, "block "+strings.Join(lines, "\n"))
	}
	prose := fence.ReplaceAllString(page, "")
	for _, line := range strings.Split(prose, "\n") {
		if strings.HasPrefix(line, "#") {
			shared = append(shared, line[:strings.IndexByte(line+" ", ' ')])
		}
	}
	for _, m := range link.FindAllStringSubmatch(prose, -1) {
		if !strings.HasPrefix(m[1], "#") && !strings.HasPrefix(m[1], "README") {
			links = append(links, "link "+m[1])
		}
	}
	slices.Sort(links)
	return append(shared, links...)
}

// command matches a call of drover with its arguments, and flag a long flag.
var (
	command = regexp.MustCompile(`(?:^|[\s"'(/])drover((?: -c \S+)? [a-z]+[^#|\n]*)`)
	flag    = regexp.MustCompile(`--[a-z-]+`)
	span    = regexp.MustCompile("`([^`\n]+)`")
)

// TestCommandsExist holds every command that a page shows to the reference of
// the commands, which is made from the commands themselves.
func TestCommandsExist(t *testing.T) {
	known := verbs(read(t, "docs/cli.md"))
	if len(known) < 10 {
		t.Fatalf("docs/cli.md has %d commands: the test no longer finds them", len(known))
	}
	seen := 0
	for rel, page := range markdown(t) {
		if rel == "docs/cli.md" {
			continue
		}
		for _, call := range calls(page) {
			seen++
			if problem := misused(known, call); problem != "" {
				t.Errorf("%s: drover%s: %s", rel, call, problem)
			}
		}
	}
	if seen < 20 {
		t.Errorf("found %d calls of drover in the pages: the test no longer finds them", seen)
	}
}

// verbs are the commands in the reference, each with its part of the page.
func verbs(reference string) map[string]string {
	known := map[string]string{"completion": "", "help": ""}
	_, global, _ := strings.Cut(reference, "\n## drover\n")
	global, _, _ = strings.Cut(global, "\n## ")
	for _, part := range strings.Split(reference, "\n## drover ")[1:] {
		verb, _, _ := strings.Cut(part, "\n")
		part, _, _ = strings.Cut(part, "\n## ")
		known[verb] = part + global
	}
	return known
}

// calls are the arguments of drover wherever a page shows it as code.
func calls(page string) []string {
	var code []string
	for _, m := range fence.FindAllStringSubmatch(page, -1) {
		code = append(code, strings.Split(m[2], "\n")...)
	}
	for _, m := range span.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		code = append(code, m[1])
	}
	var found []string
	for _, line := range code {
		for _, m := range command.FindAllStringSubmatch(line, -1) {
			found = append(found, m[1])
		}
	}
	return found
}

// misused says what is wrong with a call.
func misused(known map[string]string, call string) string {
	words := strings.Fields(call)
	reference, ok := known[words[0]]
	if !ok {
		return "there is no such command"
	}
	for _, f := range flag.FindAllString(call, -1) {
		if !strings.Contains(reference, f+" ") {
			return "there is no flag " + f
		}
	}
	return ""
}

func TestCommandComplaints(t *testing.T) {
	const reference = "# Commands\n\n## drover\n\n      --state-dir string   where\n\n## drover run\n\n## drover retry\n\n      --digest string   which\n"
	for line, want := range map[string]int{
		"drover run --state-dir /x":             0,
		"bin/drover retry api --digest sha256:": 0,
		"drover retry api --digets sha256:":     1,
		"drover run --digest sha256:":           1,
		"drover watch api":                      1,
		"rancher-compose -p drover -f x.yml":    0,
		"docker build -t drover .":              0,
	} {
		found := 0
		for _, call := range calls("```\n" + line + "\n```\n") {
			if misused(verbs(reference), call) != "" {
				found++
			}
		}
		if found != want {
			t.Errorf("%q: %d complaints, want %d", line, found, want)
		}
	}
}
