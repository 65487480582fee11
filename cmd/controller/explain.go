package main

import "gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"

// explanation is what a code means and what to do about it, for people. The table
// (explain_table.go) is made from docs/operations.md, which is where to change it:
// go test ./cmd/controller -run TestExplanations -update.
type explanation struct {
	means, do string
}

// meaningOf is empty for a code that the page does not know.
func meaningOf(code reconcile.Code) explanation { return explanations[code] }
