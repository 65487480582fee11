package logs

// alarming are the beginnings of words, in small letters, that a line about an
// error has. isWhole asks that the word ends there.
var alarming = []struct {
	word    string
	isWhole bool
}{
	{"error", false},
	{"err", true},
	{"exception", false},
	{"emerg", false},
	{"fatal", false},
	{"fail", false},
	{"panic", false},
	{"critical", false},
	{"crit", true},
	{"crash", false},
	{"cannot", true},
	{"corrupt", false},
	{"severe", false},
	{"segfault", false},
	{"segmentation", false},
	{"traceback", false},
	{"unhandled", false},
	{"uncaught", false},
	{"denied", true},
	{"deadlock", false},
	{"refused", true},
	{"oom", true},
	{"outofmemory", false},
	{"abort", false},
}

// calm and loud are the levels that loggers write; a line that names its level is
// taken at its word.
var (
	calm = []string{"trace", "debug", "info", "information", "notice", "warn", "warning", "verbose"}
	loud = []string{"error", "err", "fatal", "panic", "critical", "crit", "severe", "emerg", "alert"}
)

// levelWindow is how far into a line a level stands without being named.
const levelWindow = 80

// starts are the letters that alarming words begin with, and those of level, lvl
// and severity; capitals that begin a bare level.
var starts = func() (set [256]bool) {
	for _, a := range alarming {
		set[a.word[0]] = true
		set[a.word[0]-'a'+'A'] = true
	}
	for _, c := range "lLiIwWdDtTvVnN" {
		set[c] = true
	}
	return set
}()

// looksLikeError says whether a line is about an error: by the level it names
// itself, or else by its words.
func looksLikeError(line []byte) bool {
	if isLoud, ok := klogLevel(line); ok {
		return isLoud
	}
	found := false
	for i := 0; i < len(line); i++ {
		if !starts[line[i]] {
			continue
		}
		isStart := i == 0 || !isLetter(line[i-1])
		if isStart {
			if isLoud, ok := levelAt(line, i); ok {
				return isLoud
			}
		}
		found = found || alarmingAt(line[i:], isStart)
	}
	return found
}

// klogLevel reads the level of klog and glog: a letter and the date, as in
// E1126 01:05:01.
func klogLevel(line []byte) (isLoud, ok bool) {
	if len(line) < 6 || line[5] != ' ' || !isDigits(line[1:5]) {
		return false, false
	}
	switch line[0] {
	case 'E', 'F':
		return true, true
	case 'I', 'W', 'D':
		return false, true
	}
	return false, false
}

func isDigits(text []byte) bool {
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// levelAt reads a level that begins at i: a member named level, lvl or severity
// with its value, or a bare level in capitals near the line's beginning.
func levelAt(line []byte, i int) (isLoud, ok bool) {
	rest := line[i:]
	for _, name := range []string{"level", "lvl", "severity"} {
		if hasFold(rest, name) {
			return levelOf(rest[len(name):])
		}
	}
	if i > levelWindow || i+1 >= len(line) || line[i] < 'A' || line[i] > 'Z' || line[i+1] < 'A' || line[i+1] > 'Z' {
		return false, false
	}
	return levelWord(rest)
}

// levelOf reads the value behind a member's name: ="error", ":"error", =error.
func levelOf(rest []byte) (isLoud, ok bool) {
	n, hasSign := 0, false
	for n < len(rest) && n < 4 && (rest[n] == '"' || rest[n] == ' ' || rest[n] == ':' || rest[n] == '=') {
		hasSign = hasSign || rest[n] == ':' || rest[n] == '='
		n++
	}
	if !hasSign {
		return false, false
	}
	return levelWord(rest[n:])
}

func levelWord(text []byte) (isLoud, ok bool) {
	for _, w := range calm {
		if hasFold(text, w) && endsWord(text, len(w)) {
			return false, true
		}
	}
	for _, w := range loud {
		if hasFold(text, w) && endsWord(text, len(w)) {
			return true, true
		}
	}
	return false, false
}

// alarmingAt says that an alarming word begins here. Error and exception also
// count at the end of a name, as in NullPointerException.
func alarmingAt(text []byte, isStart bool) bool {
	if !isStart {
		return text[0] == 'E' && (hasFold(text, "error") || hasFold(text, "exception"))
	}
	for i := range alarming {
		a := &alarming[i]
		if hasFold(text, a.word) && (!a.isWhole || endsWord(text, len(a.word))) {
			return true
		}
	}
	return false
}

// hasFold says that text begins with a word in small letters, in any case.
func hasFold(text []byte, word string) bool {
	if len(text) < len(word) {
		return false
	}
	for i := range len(word) {
		if text[i]|0x20 != word[i] {
			return false
		}
	}
	return true
}

func endsWord(text []byte, n int) bool { return n >= len(text) || !isLetter(text[n]) }

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
