package logs

import "time"

// stampParser reads Docker's timestamps. It remembers the last minute, because
// one line's is mostly that of the line before.
type stampParser struct {
	// minute is the text up to the minute, begin its Unix time.
	minute [minuteLen]byte
	begin  int64
}

const minuteLen = len("2006-01-02T15:04")

// parse reads an RFC 3339 time and the space behind it. It returns the Unix
// nanoseconds and how many bytes it took, 0 when there is none.
func (p *stampParser) parse(b []byte) (nanos int64, n int) {
	if len(b) < len("2006-01-02T15:04:05Z ") || b[4] != '-' || b[10] != 'T' || b[16] != ':' {
		return 0, 0
	}
	begin, ok := p.minuteOf(b)
	second, ok2 := twoDigits(b, 17)
	if !ok || !ok2 || second > 60 {
		return 0, 0
	}
	fraction, n := parseFraction(b, 19)
	offset, n := parseZone(b, n)
	if n == 0 || n >= len(b) || b[n] != ' ' {
		return 0, 0
	}
	return (begin+int64(second)-offset)*int64(time.Second) + fraction, n + 1
}

// minuteOf is the Unix time of the minute at the beginning of b.
func (p *stampParser) minuteOf(b []byte) (int64, bool) {
	if p.begin != 0 && string(p.minute[:]) == string(b[:minuteLen]) {
		return p.begin, true
	}
	t, err := time.Parse("2006-01-02T15:04", string(b[:minuteLen]))
	if err != nil || t.Year() < 1971 || t.Year() > 2200 {
		return 0, false
	}
	copy(p.minute[:], b)
	p.begin = t.Unix()
	return p.begin, true
}

// parseFraction reads a fraction of a second of up to nine digits at i.
func parseFraction(b []byte, i int) (nanos int64, next int) {
	if i >= len(b) || b[i] != '.' {
		return 0, i
	}
	scale := int64(time.Second)
	for i++; i < len(b) && b[i] >= '0' && b[i] <= '9' && scale > 1; i++ {
		scale /= 10
		nanos += int64(b[i]-'0') * scale
	}
	return nanos, i
}

// parseZone reads Z or an offset such as +08:00 at i; next is 0 when there is
// neither.
func parseZone(b []byte, i int) (seconds int64, next int) {
	switch {
	case i >= len(b):
		return 0, 0
	case b[i] == 'Z':
		return 0, i + 1
	case b[i] != '+' && b[i] != '-' || len(b) < i+6 || b[i+3] != ':':
		return 0, 0
	}
	hours, ok := twoDigits(b, i+1)
	minutes, ok2 := twoDigits(b, i+4)
	if !ok || !ok2 {
		return 0, 0
	}
	seconds = int64(hours*3600 + minutes*60)
	if b[i] == '-' {
		seconds = -seconds
	}
	return seconds, i + 6
}

// twoDigits reads a number of two digits at i.
func twoDigits(b []byte, i int) (int, bool) {
	if len(b) < i+2 || b[i] < '0' || b[i] > '9' || b[i+1] < '0' || b[i+1] > '9' {
		return 0, false
	}
	return int(b[i]-'0')*10 + int(b[i+1]-'0'), true
}
