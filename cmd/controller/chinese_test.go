package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/sandbox"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// promised is the example in the READMEs of what is said in Chinese.
var promised = regexp.MustCompile("(?s)\n```\n\\$ LANG=(\\S+) drover ([^\n]*)\n(.*?)\n```\n")

// TestChineseAsPromised runs the example of README.zh-CN.md against a sandbox in
// the middle of an upgrade, and compares what it says, line by line.
func TestChineseAsPromised(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "README.zh-CN.md"))
	if err != nil {
		t.Fatal(err)
	}
	example := promised.FindStringSubmatch(string(page))
	if example == nil {
		t.Fatal("README.zh-CN.md has no example that begins with $ LANG=")
	}
	w, err := sandbox.Start(t.Context(), fastWorld("serve"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	if err := upgrade(t.Context(), w, "serve"); err != nil {
		t.Fatal(err)
	}
	for _, variable := range append(rancherEnv(w.Info()), "LANG="+example[1], "LC_ALL=", "LC_MESSAGES=") {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	t.Chdir(t.TempDir())
	awaitUpgraded(t)
	var said bytes.Buffer
	if code := run(t.Context(), strings.Fields(example[2]), strings.NewReader(""), &said, &said); code != exitOK {
		t.Errorf("it ends with %d", code)
	}
	if !patternOf(example[3]).MatchString(said.String()) {
		t.Errorf("drover %s says\n%s\nREADME.zh-CN.md promises\n%s", example[2], said.String(), example[3])
	}
}

// TestWatchInChinese: the screen, a refusal and the farewell, in a pseudo-terminal.
func TestWatchInChinese(t *testing.T) {
	w, err := sandbox.Start(t.Context(), fastWorld("serve"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	for _, variable := range append(rancherEnv(w.Info()), "LANG=zh_CN.UTF-8", "LC_ALL=", "LC_MESSAGES=") {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	t.Chdir(t.TempDir())
	d := newDesk(t, castWidth, castHeight)
	left := make(chan int, 1)
	key := sandbox.Stack + "/" + sandbox.Service
	go func() { left <- run(t.Context(), []string{"watch", key, "--by", "jo"}, d.TTY, d.TTY, d.TTY) }()
	var said bytes.Buffer
	for _, step := range []struct{ press, sees string }{
		{"", "没有守护进程"}, {"?", "按任意键返回"}, {"?", "负载均衡"}, {"f", "没有进行中的升级"}, {"q", "没有改动 " + key},
	} {
		d.Press(step.press)
		d.sees(&said, step.sees)
	}
	if code := <-left; code != exitOK {
		t.Errorf("watch ends with %d", code)
	}
}

// awaitUpgraded waits until every new container runs, so that what is said is the
// same each time.
func awaitUpgraded(t *testing.T) {
	t.Helper()
	var out bytes.Buffer
	args := []string{"wait", sandbox.Stack + "/" + sandbox.Service, "--for", "upgraded", "--timeout", "2m"}
	if code := run(t.Context(), args, strings.NewReader(""), &out, &out); code != exitOK {
		t.Fatalf("the sandbox's upgrade ends with %d: %s", code, out.String())
	}
}

// patternOf matches an example: … stands for anything in a line, and a line of …
// for any lines.
func patternOf(example string) *regexp.Regexp {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimRight(example, "\n"), "\n") {
		if strings.TrimSpace(line) == "…" {
			b.WriteString(`(?:[^\n]*\n)*`)
			continue
		}
		b.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", `[^\n]*`) + `\n`)
	}
	return regexp.MustCompile(`^` + b.String() + `$`)
}

func TestPatternOf(t *testing.T) {
	for said, isMatch := range map[string]bool{
		"a\nb 12 c\nx\ny\nz\n": true,
		"a\nb  c\nz\n":         true,
		"a\nb 12\nz\n":         false,
		"a\nb 12 c\nx\n":       false,
	} {
		if got := patternOf("a\nb … c\n   …\nz").MatchString(said); got != isMatch {
			t.Errorf("%q matches: %t, want %t", said, got, isMatch)
		}
	}
}

// whyOf is what why says of a target that waits for a quarantined digest.
func whyOf(l language.Language) string {
	w := reasons{Target: "web/api", Now: &nowReason{
		Phase: reconcile.Idle, Code: reconcile.CodeQuarantined, Reason: "sha256:bbbb is quarantined", Since: time.Unix(0, 0), Alert: true,
	}, Runs: &runsReason{Image: "registry.example/web/api:1"}}
	var b bytes.Buffer
	w.print(&b, l, time.Unix(60, 0))
	return b.String()
}

// TestWhyInChinese: the same lines, and what stands in a column still does, although
// a character is two columns wide.
func TestWhyInChinese(t *testing.T) {
	english, chinese := strings.Split(whyOf(language.English), "\n"), strings.Split(whyOf(language.Chinese), "\n")
	if len(english) != len(chinese) {
		t.Fatalf("%d lines in English, %d in Chinese", len(english), len(chinese))
	}
	for i, at := range map[int]string{1: "sha256:bbbb", 2: "quarantined:", 4: "registry.example"} {
		cut := func(line string) int {
			before, _, ok := strings.Cut(strings.ReplaceAll(line, "：", ":"), at)
			if !ok {
				t.Fatalf("line %q has no %q", line, at)
			}
			return ansi.StringWidth(before)
		}
		if e, c := cut(english[i]), cut(chinese[i]); e != c {
			t.Errorf("%q begins in column %d, in English in %d:\n%s\n%s", at, c, e, chinese[i], english[i])
		}
	}
	for i, want := range []string{"需要人来看一下", "原因", "规则", "推送修好的镜像", "现运行"} {
		if !strings.Contains(chinese[i], want) {
			t.Errorf("line %d is %q, want %q in it", i, chinese[i], want)
		}
	}
}
