package ranchersim

import (
	"strconv"
	"strings"
)

// The prefixes of ids: 1, then the first letter and the capitals of the base type, lower-cased
// (TypeIdFormatter in Cattle; stack and secret are its two exceptions).
const (
	prefixProject   = "1a"
	prefixStack     = "1st"
	prefixService   = "1s"
	prefixInstance  = "1i"
	prefixHost      = "1h"
	prefixExposeMap = "1sem"
	prefixLog       = "1sl"
	prefixSecret    = "1se"
	prefixEvent     = "1ce"
	prefixAudit     = "1al"
	prefixProcess   = "1pi"
	prefixV1Stack   = "1e"
)

func formatID(prefix string, n int) string { return prefix + strconv.Itoa(n) }

// parseID reads a number out of an id. The letters are ignored, as in Cattle: /services/1i7 is service 7.
func parseID(id string) (int, bool) {
	if len(id) < 2 || id[0] != '1' || len(id) > 20 {
		return 0, false
	}
	n, err := strconv.Atoi(strings.TrimLeft(id[1:], "abcdefghijklmnopqrstuvwxyz"))
	if err != nil || n < 0 {
		return 0, false
	}
	return n, strings.TrimLeft(id[1:], "0123456789") != ""
}
