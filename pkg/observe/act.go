package observe

import "context"

// Act is the last action on a service that somebody had Rancher do.
type Act struct {
	// Problem says why it is not known.
	Problem *Problem `json:"problem,omitempty"`
	// Action is Rancher's word for it: upgrade, cancelupgrade …; empty for none.
	Action string `json:"action,omitempty"`
	// By is whose key or session it was, From the address it came from.
	By   string `json:"by,omitempty"`
	From string `json:"from,omitempty"`
	// At is Rancher's time of it, for display: its clock may be off (A37).
	At string `json:"at,omitempty"`
}

// ActReader says who did what to a service last.
type ActReader interface {
	LastAct(ctx context.Context, serviceID string) Act
}
