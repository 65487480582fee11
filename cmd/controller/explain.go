package main

import (
	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// explanation is what a code means and what to do about it, for people. The table
// (explain_table.go) is made from docs/operations.md, which is where to change it:
// go test ./cmd/controller -run TestExplanations -update.
type explanation struct {
	means, do string
}

// meaningOf is empty for a code that the page does not know.
func meaningOf(code reconcile.Code) explanation { return explanations[code] }

// meaningIn is a code's meaning in a language.
func meaningIn(l language.Language, code reconcile.Code) explanation {
	if e, ok := chineseExplanations[code]; ok && l == language.Chinese {
		return e
	}
	return meaningOf(code)
}
