package watch

import (
	"fmt"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

const repository = "docker.example/clickeggs/parrot-rest"

func digest(letter string) string { return "sha256:" + strings.Repeat(letter, 64) }

// noon is when everything is looked at.
var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.Local)

// service is gf-chat/parrot-rest of three containers, so many of them new.
func service(state observe.ServiceState, fresh int) observe.Service {
	s := observe.Service{
		ID: "1s5", Name: "parrot-rest", Stack: "gf-chat", State: state, Scale: 3, HasHealthCheck: true,
		Launch: observe.Launch{Image: repository + "@" + digest("a"), Version: "va"},
	}
	old := s.Launch
	if operator.InUpgrade(state) {
		s.Launch = observe.Launch{Image: repository + "@" + digest("b"), Version: "vb"}
		s.Upgrade = &observe.Upgrade{To: s.Launch, From: old}
	}
	switch state {
	case observe.StateUpgrading:
		s.Actions = []string{"cancelupgrade", "rollback"}
	case observe.StateUpgraded:
		s.Actions = []string{"finishupgrade", "rollback"}
	default:
		s.Actions = []string{"upgrade"}
	}
	for n := 1; n <= 3; n++ {
		c := container(n, "a", "running")
		if n <= fresh {
			c = container(n, "a", "stopped")
			s.Containers = append(s.Containers, container(n+3, "b", "running"))
		}
		s.Containers = append(s.Containers, c)
	}
	return s
}

// finished is the service when only the new version is left.
func finished() observe.Service {
	s := service(observe.StateUpgraded, 3)
	s.State, s.Actions = observe.StateActive, []string{"upgrade"}
	var left []observe.Container
	for _, c := range s.Containers {
		if c.Version == "vb" {
			left = append(left, c)
		}
	}
	s.Containers = left
	return s
}

func container(id int, letter, state string) observe.Container {
	c := observe.Container{
		ID: fmt.Sprintf("1i%d", id), Name: fmt.Sprintf("gf-chat-parrot-rest-%d", (id-1)%3+1), Version: "v" + letter,
		Image: repository + "@" + digest(letter), State: state, CreateIndex: id,
	}
	if state == "running" {
		c.Health = "healthy"
	}
	return c
}

// balancer shows what the running containers served in so many looks.
func balancer(s *observe.Service, looks int64) *observe.LoadBalancer {
	lb := &observe.LoadBalancer{}
	for i := range s.Containers {
		c := &s.Containers[i]
		if c.State != "running" {
			continue
		}
		row := observe.Server{Container: c.ID, Status: observe.ServerUp, Text: "UP", Latency: 12}
		row.Total = observe.Counts{Requests: 40*looks + int64(i)*looks*looks/4, Retries: int64(i)}
		if c.Version == "vb" {
			row.Total.Failures = looks
		}
		lb.Servers = append(lb.Servers, row)
	}
	return lb
}

// alone is a look without a daemon, at some seconds past noon.
func alone(seconds int, s observe.Service) Looked {
	at := noon.Add(time.Duration(seconds) * time.Second)
	l := Looked{Sight: operator.Sight{At: at, Service: s, Subject: operator.Subject{Stack: "gf-chat", Service: "parrot-rest"}}}
	l.Alone = "no daemon is running on state directory state"
	l.Balancer, l.BalancerAt = balancer(&s, int64(seconds)), at
	return l
}

// watched is a look with a daemon.
func watched(seconds int, s observe.Service, v web.View) Looked {
	l := alone(seconds, s)
	v.Target, v.Name, v.Image = "gf-chat/parrot-rest", "parrot-rest", repository+":latest"
	l.Subject.Name, l.Subject.Image = v.Name, v.Image
	l.Daemon, l.Alone = &web.Detail{View: v}, ""
	return l
}

func idle() web.View {
	return web.View{Phase: reconcile.Idle, Code: reconcile.CodeNothingToDo, Reason: "runs what the tag names", Running: digest("a"), Wanted: digest("a")}
}

func rollout() *web.Rollout {
	return &web.Rollout{
		ID: "parrot-rest-1", Kind: reconcile.Deploy, From: digest("a"), To: digest("b"), Revision: "c0ffee5eadbeef", Started: noon,
	}
}

func upgrading() web.View {
	return web.View{
		Phase: reconcile.Upgrading, Code: reconcile.CodeBatches, Reason: "1 of 3 containers are new, 2 old ones run",
		Running: digest("a"), Wanted: digest("b"), Rollout: rollout(),
		Gates: []web.Gate{
			gate(reconcile.Finding{Gate: "health", Verdict: reconcile.Hold, Code: reconcile.CodeBecoming, Healthy: 1, Containers: 1}),
			gate(reconcile.Finding{Gate: "load balancer", Verdict: reconcile.Hold, Code: reconcile.CodeShortOfEvidence, Requests: 9, Synthetic: 2, Needed: 59, Failures: 2}),
		},
	}
}

func baking(seconds int) web.View {
	v := upgrading()
	v.Phase, v.Code, v.Reason = reconcile.Bake, reconcile.CodeBaking, "every gate holds so far"
	v.BakeStart, v.BakeUntil = noon.Add(20*time.Second), noon.Add(20*time.Second+10*time.Minute)
	v.Gates = []web.Gate{
		gate(reconcile.Finding{Gate: "health", Verdict: reconcile.Pass, Code: reconcile.CodeHealthy, Healthy: 3, Containers: 3, For: time.Duration(seconds-20) * time.Second}),
		gate(reconcile.Finding{Gate: "load balancer", Verdict: reconcile.Pass, Code: reconcile.CodeErrorRate, Requests: 4912, Failures: 3, Bound: 0.002}),
		gate(reconcile.Finding{Gate: "http", Verdict: reconcile.NoData, Code: reconcile.CodeNotProbedYet, Healthy: 2, Containers: 3}),
	}
	return v
}

func over(outcome reconcile.Outcome, reason string) web.View {
	v := idle()
	r := rollout()
	r.Outcome, r.Reason, r.Ended = outcome, reason, noon.Add(90*time.Second)
	v.Last, v.Wanted = r, digest("b")
	if outcome == reconcile.Finished {
		v.Running = digest("b")
	}
	return v
}

func gate(f reconcile.Finding) web.Gate { return web.Gate{Finding: f, Text: f.Text()} }

// lines are log lines of a container of a side, numbered from a number on.
func lines(id int, side logs.Version, from, n int) Lines {
	var all Lines
	for i := from; i < from+n; i++ {
		text := fmt.Sprintf("GET /v1/rooms/%d 200 7ms", i)
		if i%7 == 3 {
			text = fmt.Sprintf("ERROR cannot reach room %d", i)
		}
		all = append(all, logs.Line{
			Container: fmt.Sprintf("1i%d", id), Name: fmt.Sprintf("gf-chat-parrot-rest-%d", (id-1)%3+1), Service: "gf-chat/parrot-rest",
			Version: side, Time: noon.Add(time.Duration(i) * 100 * time.Millisecond), Text: text,
		})
	}
	return all
}

// recorder is an actor that notes what it is told.
type recorder struct {
	planned []operator.Request
	did     []operator.Plan
	// gives and err are the answers.
	gives operator.Plan
	err   error
}

func (r *recorder) Plan(q operator.Request) (operator.Plan, error) {
	r.planned = append(r.planned, q)
	return r.gives, r.err
}

func (r *recorder) Do(p operator.Plan) error {
	r.did = append(r.did, p)
	return r.err
}

// told is a plan that the daemon carries out.
func told(verb operator.Verb, says ...string) operator.Plan {
	return operator.Plan{Verb: verb, Says: says, Command: &controller.Command{Verb: controller.Restore}}
}
