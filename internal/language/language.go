// Package language says in Chinese what Drover tells a person on a terminal, where
// their environment asks for it.
//
// A message is its English format: the code reads as if there were no other
// language, and English is what is said when a translation is missing. What other
// programs read (the log, the journal, JSON, the pages, the words of pipelines) is
// never translated: those places do not use this package.
package language

import (
	"fmt"
	"strings"
)

// Language is what messages are said in. Its zero value is English.
type Language int

const (
	// English is what the code itself says.
	English Language = iota
	// Chinese is simplified Chinese, in UTF-8.
	Chinese
)

// FromEnvironment is the language of a process, by POSIX's rules for messages
// (XBD 8.2): LC_ALL comes before LC_MESSAGES, that before LANG, and an empty one
// counts as none. A locale of another encoding than UTF-8 would show Chinese as
// rubbish and gets English; so does one of traditional characters.
func FromEnvironment(getenv func(string) string) Language {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if value := getenv(name); value != "" {
			return ofLocale(value)
		}
	}
	return English
}

// ofLocale reads language[_territory][.codeset][@modifier].
func ofLocale(locale string) Language {
	locale, _, _ = strings.Cut(locale, "@")
	name, codeset, hasCodeset := strings.Cut(locale, ".")
	if codeset = strings.ToLower(codeset); hasCodeset && codeset != "utf-8" && codeset != "utf8" {
		return English
	}
	switch name {
	case "zh", "zh_CN", "zh_SG":
		return Chinese
	}
	return English
}

// Sprintf says a message. Its format is the key of the translation.
func (l Language) Sprintf(format string, args ...any) string {
	if translated, ok := l.find(format); ok {
		return fmt.Sprintf(translated, args...)
	}
	return fmt.Sprintf(format, args...)
}

// Errorf says an error that a person is told; %w wraps as with fmt.Errorf.
func (l Language) Errorf(format string, args ...any) error {
	if translated, ok := l.find(format); ok {
		return fmt.Errorf(translated, args...)
	}
	return fmt.Errorf(format, args...)
}

func (l Language) find(format string) (string, bool) {
	if l != Chinese {
		return "", false
	}
	translated, ok := chinese[format]
	return translated, ok
}
