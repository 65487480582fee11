package web

import (
	"cmp"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// View is one target, for people and scripts.
type View struct {
	// Target is stack/service, Name what the file calls it.
	Target string `json:"target"`
	Name   string `json:"name,omitempty"`
	// Image is the tag that is followed.
	Image string `json:"image,omitempty"`
	// Phase is empty before the first look.
	Phase  reconcile.Phase `json:"phase,omitempty"`
	Code   reconcile.Code  `json:"code,omitempty"`
	Reason string          `json:"reason,omitempty"`
	// Since is when phase and reason began.
	Since time.Time `json:"since,omitzero"`
	// Alert says that a person has to look.
	Alert bool `json:"alert,omitempty"`
	// State is Rancher's own word for the service.
	State string `json:"state,omitempty"`
	// Running is the digest that runs as far as Drover knows, Wanted the one the
	// open rollout brings or the tag names.
	Running string `json:"running,omitempty"`
	Wanted  string `json:"wanted,omitempty"`
	// LookedAt is the time of the last look; zero when it comes from the journal.
	LookedAt time.Time `json:"lookedAt,omitzero"`
	// BakeStart is since when the bake holds, BakeUntil when it will have held for
	// long enough; zero while it does not hold.
	BakeStart time.Time `json:"bakeStart,omitzero"`
	BakeUntil time.Time `json:"bakeUntil,omitzero"`
	// Gates are the verdicts of the last look.
	Gates []Gate `json:"gates,omitempty"`
	// Rollout is the open one, Last the one before.
	Rollout *Rollout `json:"rollout,omitempty"`
	Last    *Rollout `json:"last,omitempty"`
	// PausedBy is who paused the target by command; Holding why it only observes.
	PausedBy string `json:"pausedBy,omitempty"`
	Holding  string `json:"holding,omitempty"`
	// Quarantine is why digests are not tried again.
	Quarantine map[string]reconcile.Quarantined `json:"quarantine,omitempty"`
	// Containers are those of the last look; empty when it comes from the journal.
	Containers []Container `json:"containers,omitempty"`
	// Error is what went wrong with writing down or doing in the last step.
	Error string `json:"error,omitempty"`
}

// Container is one container: what it was asked to run, and what Docker runs in it.
type Container struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// Sidekick is empty for the primary.
	Sidekick string `json:"sidekick,omitempty"`
	Host     string `json:"host,omitempty"`
	State    string `json:"state,omitempty"`
	Health   string `json:"health,omitempty"`
	// Current says that it was made from the launch configuration in force.
	Current bool `json:"current"`
	// Image is what its launch configuration names.
	Image string `json:"image,omitempty"`
	// Runs is the id of the image that Docker runs; empty until an event has told.
	Runs string `json:"runs,omitempty"`
	// AsAsked says whether that is what Image names; nil when it is not known.
	AsAsked *bool `json:"asAsked,omitempty"`
}

// Detail is one target with what the last look saw of it.
type Detail struct {
	View
	// Observed is nil before the first look.
	Observed *observe.Snapshot `json:"observed,omitempty"`
}

// WayBack is what a target may be taken back to although its last rollout is
// finished. The launch configuration that goes with it is not shown.
type WayBack struct {
	Digest string `json:"digest"`
	Image  string `json:"image"`
	// Until is when it ran last.
	Until time.Time `json:"until,omitzero"`
}

// Gate is a finding with its text.
type Gate struct {
	reconcile.Finding
	Text string `json:"text"`
}

// Rollout is a rollout without its launch configurations.
type Rollout struct {
	ID       string         `json:"id"`
	Kind     reconcile.Kind `json:"kind"`
	Tag      string         `json:"tag,omitempty"`
	From     string         `json:"from,omitempty"`
	To       string         `json:"to"`
	Revision string         `json:"revision,omitempty"`
	Started  time.Time      `json:"started"`
	Deadline time.Time      `json:"deadline,omitzero"`
	Ended    time.Time      `json:"ended,omitzero"`
	// SameLayers are the quarantined digests that have the layers of what it brings.
	SameLayers []string `json:"sameLayers,omitempty"`
	// Outcome is empty while it is open.
	Outcome reconcile.Outcome `json:"outcome,omitempty"`
	Code    reconcile.Code    `json:"code,omitempty"`
	Reason  string            `json:"reason,omitempty"`
	// By is the person who ended it, or asked for it; empty means Drover.
	By string `json:"by,omitempty"`
}

// Event is a report without what was observed.
type Event struct {
	Target string           `json:"target"`
	At     time.Time        `json:"at"`
	Phase  reconcile.Phase  `json:"phase"`
	Code   reconcile.Code   `json:"code"`
	Reason string           `json:"reason"`
	Action reconcile.Action `json:"action,omitempty"`
	Alert  bool             `json:"alert,omitempty"`
	// Facts are the kinds of what was written down in this step.
	Facts   []reconcile.EventKind `json:"facts,omitempty"`
	Gates   []Gate                `json:"gates,omitempty"`
	Rollout *Rollout              `json:"rollout,omitempty"`
	Error   string                `json:"error,omitempty"`
}

// ViewOf joins what is remembered of a target with its last look, if any. The
// target's settings may be zero when it left the file.
func ViewOf(key string, t desired.Target, h reconcile.History, last *controller.Report) View {
	v := View{
		Target: key, Name: t.Name, Image: t.Image, PausedBy: h.PausedBy, Quarantine: h.Quarantine,
		Phase: h.Status.Phase, Code: h.Status.Code, Reason: h.Status.Reason, Since: h.Status.Since, Alert: h.Status.Alert,
		Rollout: RolloutOf(h.Rollout), Last: RolloutOf(h.Last),
	}
	if h.Baseline != nil {
		v.Running = h.Baseline.Digest
	}
	if h.Holding != nil {
		v.Holding = h.Holding.Reason
	}
	v.look(last)
	if last != nil {
		v.Containers = containersOf(h, &last.Observed.Service)
	}
	if h.Rollout != nil {
		v.Wanted = h.Rollout.To.Digest
	}
	return v
}

// look adds what only a look knows.
func (v *View) look(last *controller.Report) {
	if last == nil {
		return
	}
	d := last.Decision
	v.Phase, v.Code, v.Reason, v.Alert = d.Phase, d.Code, d.Reason, d.Alert
	v.LookedAt, v.Gates, v.Error = last.At, gatesOf(d.Gates), last.Err
	v.State, v.Wanted = string(last.Observed.Service.State), last.Observed.Image.Digest
	if v.BakeStart = d.BakeStart; !v.BakeStart.IsZero() && last.Rollout != nil {
		v.BakeUntil = v.BakeStart.Add(last.Rollout.Policy.Rollout.Bake.Duration)
	}
}

// containersOf are a service's containers, with what is known of their images.
func containersOf(h reconcile.History, s *observe.Service) []Container {
	versions := map[string]string{"": s.Launch.Version}
	for i := range s.Secondary {
		versions[s.Secondary[i].Name] = s.Secondary[i].Version
	}
	var all []Container
	for i := range s.Containers {
		c := &s.Containers[i]
		shown := Container{
			ID: c.ID, Name: c.Name, Sidekick: c.LaunchName, Host: c.HostID, State: c.State, Health: c.Health,
			Current: c.Version == versions[c.LaunchName], Image: c.Image, Runs: c.ImageID,
		}
		if isAsked, isKnown := reconcile.RunsAsAsked(h, c); isKnown {
			shown.AsAsked = &isAsked
		}
		all = append(all, shown)
	}
	return all
}

// RolloutOf is what may be shown of a rollout; nil of nil.
func RolloutOf(r *reconcile.Rollout) *Rollout {
	if r == nil {
		return nil
	}
	by := cmp.Or(r.FinishBy, r.RollbackBy, r.By)
	return &Rollout{
		ID: r.ID, Kind: r.Kind, Tag: r.Tag, From: r.From.Digest, To: r.To.Digest, Revision: r.Revision, SameLayers: r.SameLayers,
		Started: r.Started, Deadline: r.Deadline, Ended: r.Ended, Outcome: r.Outcome, Code: r.Code, Reason: r.Reason, By: by,
	}
}

// Condemned names the quarantined digests that have the layers of what a rollout
// brings; empty of none.
func (r *Rollout) Condemned() string {
	if r == nil {
		return ""
	}
	names := make([]string, len(r.SameLayers))
	for i, d := range r.SameLayers {
		names[i] = Short(d)
	}
	return strings.Join(names, ", ")
}

func gatesOf(findings []reconcile.Finding) []Gate {
	var gates []Gate
	for _, f := range findings {
		gates = append(gates, Gate{Finding: f, Text: f.Text()})
	}
	return gates
}

// EventOf is what may be shown of a report.
func EventOf(r controller.Report) Event {
	d := r.Decision
	e := Event{
		Target: r.Target, At: r.At, Phase: d.Phase, Code: d.Code, Reason: d.Reason, Action: d.Action, Alert: d.Alert,
		Gates: gatesOf(d.Gates), Rollout: RolloutOf(r.Rollout), Error: r.Err,
	}
	for i := range d.Events {
		e.Facts = append(e.Facts, d.Events[i].Kind)
	}
	return e
}

// Short is the digest as people compare it: its first twelve digits.
func Short(digest string) string {
	_, hex, found := strings.Cut(digest, ":")
	if !found || len(hex) < 12 {
		return digest
	}
	return hex[:12]
}
