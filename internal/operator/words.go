package operator

import (
	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// PhaseIn is a phase's word, which is the same in log and journal, with what it means
// where that is another language.
func PhaseIn(l language.Language, p reconcile.Phase) string {
	switch p {
	case reconcile.Idle:
		return l.Sprintf("idle")
	case reconcile.Settle:
		return l.Sprintf("settle")
	case reconcile.Preflight:
		return l.Sprintf("preflight")
	case reconcile.Starting:
		return l.Sprintf("starting")
	case reconcile.Upgrading:
		return l.Sprintf("upgrading")
	case reconcile.Proving:
		return l.Sprintf("proving")
	case reconcile.Bake:
		return l.Sprintf("bake")
	case reconcile.AwaitApproval:
		return l.Sprintf("await-approval")
	case reconcile.Committing:
		return l.Sprintf("committing")
	case reconcile.Probation:
		return l.Sprintf("probation")
	case reconcile.RollingBack:
		return l.Sprintf("rolling-back")
	case reconcile.Verifying:
		return l.Sprintf("verifying")
	case reconcile.Stuck:
		return l.Sprintf("stuck")
	case reconcile.Held:
		return l.Sprintf("held")
	case reconcile.Waiting:
		return l.Sprintf("waiting")
	case reconcile.Blind:
		return l.Sprintf("blind")
	case reconcile.Gone:
		return l.Sprintf("gone")
	}
	return string(p)
}

// FiguresIn is what a gate says. In English it is the text that came with it, which a
// newer daemon may have written; so it is where no code came with it.
func FiguresIn(l language.Language, f *reconcile.Finding, text string) string {
	if l == language.English || f.Code == "" {
		return text
	}
	return f.Say(l.Sprintf)
}
