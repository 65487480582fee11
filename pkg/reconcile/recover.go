package reconcile

import "time"

// recover rebuilds a rollout of ours from the labels Rancher shows, when the
// journal does not know it: gates and bake from zero, deadline as it was.
func (l *look) recover() {
	launch, up := l.svc().Launch, l.svc().Upgrade
	r := &Rollout{
		ID: launch.Labels[LabelRollout], ServiceID: l.svc().ID, Kind: Kind(launch.Labels[LabelKind]), Tag: launch.Labels[LabelImage],
		To: l.running(), Policy: l.in.Target, Confirmed: true, Version: launch.Version, Revision: launch.Labels[LabelRevision],
	}
	if r.Kind != Pin && r.Kind != Restore {
		r.Kind = Deploy
	}
	if up != nil {
		r.From.Part = Part{Image: up.From.Image, Digest: launch.Labels[LabelFrom]}
		r.FromVersion = up.From.Version
		r.From.Sidekicks = l.sidekicksBefore(r.To.Sidekicks)
	}
	r.Started = parseTime(launch.Labels[LabelStarted], l.in.Now)
	r.Deadline = parseTime(launch.Labels[LabelDeadline], l.in.Now.Add(l.in.Target.Rollout.ProgressDeadline.Duration))
	l.r = r
	l.record(Event{Kind: EventRecovered, Start: r, Reason: "Rancher shows a rollout of this Drover that the journal does not know"})
}

// sidekicksBefore are the followed sidekicks as Rancher keeps them for the way back.
// One that the upgrade did not change is what it was, by its digest too.
func (l *look) sidekicksBefore(now map[string]Part) map[string]Part {
	before := map[string]Part{}
	for _, launch := range l.svc().Upgrade.FromSecondary {
		switch side, isFollowed := now[launch.Name]; {
		case !isFollowed:
		case side.Image == launch.Image:
			before[launch.Name] = side
		default:
			before[launch.Name] = Part{Image: launch.Image, Digest: digestOf(launch.Image)}
		}
	}
	if len(before) == 0 {
		return nil
	}
	return before
}

func parseTime(s string, otherwise time.Time) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return otherwise
	}
	return t
}
