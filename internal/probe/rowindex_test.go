package probe

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// plainLook is a load balancer as the index must show it: each row is held against each container, one by one.
type plainLook struct {
	// rows are on the page now, counted what each counts; one that comes back counts on.
	rows    []plainRow
	counted map[rowKey]int
	// containers are the callers' at their last looks, proxies those they had a container in, before what they were told
	// of each row then.
	containers map[string][]observe.Container
	proxies    map[string]map[string]bool
	before     map[string]map[rowKey]plainStanding
}

type plainRow struct{ proxy, name, addr string }

func (r plainRow) key() rowKey { return rowKey{r.proxy, r.name} }

type plainStanding struct {
	container string
	counted   int
}

// page writes the rows as HAProxy does, each with more requests than before.
func (p *plainLook) page(r *rand.Rand) []byte {
	var b strings.Builder
	b.WriteString("# pxname,svname,status,check_status,type,weight,pid,lastchg,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,econ,eresp,wretr,wredis,chkfail,chkdown,addr,\n")
	for _, row := range p.rows {
		p.counted[row.key()] += r.IntN(5)
		fmt.Fprintf(&b, "%s,%s,UP,L7OK,2,1,1,9,0,%d,0,0,0,0,0,0,0,0,0,0,%s,\n", row.proxy, row.name, p.counted[row.key()], row.addr)
	}
	return []byte(b.String())
}

// change adds a row, takes one away or gives one another address.
func (p *plainLook) change(r *rand.Rand) {
	ip := fmt.Sprintf("10.0.0.%d", r.IntN(12))
	row := plainRow{proxy: fmt.Sprint("p", r.IntN(4)), name: rancherName(ip)}
	switch r.IntN(4) {
	case 0:
		row.addr = fmt.Sprintf("10.0.0.%d:80", r.IntN(12)) // The name says more.
	case 1, 2:
		row.name, row.addr = "by-hand-"+ip, ip+":80"
	}
	isOf := func(other plainRow) bool { return other.proxy == row.proxy && other.name == row.name }
	switch i := slices.IndexFunc(p.rows, isOf); {
	case i < 0:
		p.rows = append(p.rows, row)
	case r.IntN(3) == 0 && p.rows[i].addr != "":
		// The same row, at another address now.
		p.rows[i].addr = fmt.Sprintf("10.0.0.%d:80", r.IntN(12))
	default:
		for _, before := range p.before {
			delete(before, row.key())
		}
		p.rows = slices.Delete(p.rows, i, i+1)
	}
	slices.SortStableFunc(p.rows, func(a, b plainRow) int { return strings.Compare(a.proxy, b.proxy) })
}

// of is the caller's container behind a row.
func (p *plainLook) of(caller string, row plainRow) string {
	for _, c := range p.containers[caller] {
		if rancherName(c.IP) == row.name {
			return c.ID
		}
	}
	for _, c := range p.containers[caller] {
		if c.IP+":80" == row.addr {
			return c.ID
		}
	}
	return ""
}

// isListed says whether a caller is told of a row.
func (p *plainLook) isListed(caller string, row plainRow) bool {
	if !p.proxies[caller][row.proxy] {
		return false
	}
	if p.of(caller, row) != "" {
		return true
	}
	for other := range p.containers {
		if other != caller && p.of(other, row) != "" {
			return false
		}
	}
	return true
}

// compare holds what a caller was told against what it must be told.
func (p *plainLook) compare(t *testing.T, caller string, got observe.LoadBalancer) {
	t.Helper()
	for _, row := range p.rows {
		if p.of(caller, row) != "" {
			p.proxies[caller][row.proxy] = true
		}
	}
	var want []string
	told := map[rowKey]plainStanding{}
	for _, row := range p.rows {
		if !p.isListed(caller, row) {
			continue
		}
		now := plainStanding{p.of(caller, row), p.counted[row.key()]}
		told[row.key()] = now
		text := row.proxy + " " + row.name + " is " + now.container
		if st, ok := p.before[caller][row.key()]; ok && st.container == now.container {
			text += fmt.Sprint(" with ", now.counted-st.counted)
		}
		want = append(want, text)
	}
	if len(got.Servers) != len(want) {
		t.Fatalf("%s is told of %d rows, want %q", caller, len(got.Servers), want)
	}
	for i, s := range got.Servers {
		text := s.Proxy + " " + s.Name + " is " + s.Container
		if strings.Contains(want[i], " with ") {
			text += fmt.Sprint(" with ", s.Delta.Requests)
		}
		if text != want[i] {
			t.Fatalf("%s is told at %d that %s, want %s", caller, i, text, want[i])
		}
	}
	for _, other := range got.OtherProxies {
		if p.proxies[caller][other.Proxy] {
			t.Fatalf("%s is told of its own proxy %s as another's", caller, other.Proxy)
		}
	}
	p.before[caller] = told
}

// TestRowsAreTiedAsOneByOne: whatever comes and goes, whoever looks when, the index ties the rows that holding each row
// against each container would, and counts them alike.
func TestRowsAreTiedAsOneByOne(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 5))
		p := &plainLook{
			counted: map[rowKey]int{}, containers: map[string][]observe.Container{},
			proxies: map[string]map[string]bool{}, before: map[string]map[rowKey]plainStanding{},
		}
		lb, err := newLoadBalancer(LoadBalancerSpec{Name: "lb", Stats: []string{"http://lb.example/admin?stats"}}, NewReader(ReaderOptions{}))
		if err != nil {
			t.Fatal(err)
		}
		at := time.Now()
		for range 6 {
			p.change(r)
		}
		for range 40 {
			for range r.IntN(3) {
				p.change(r)
			}
			if len(p.rows) == 0 {
				continue
			}
			at = at.Add(time.Second)
			if problem := lb.instances[0].enter(p.page(r), at, at); problem != nil {
				t.Fatal(problem)
			}
			for _, caller := range []string{"a", "b", "c"}[:r.IntN(4)] {
				if p.proxies[caller] == nil {
					p.proxies[caller] = map[string]bool{}
				}
				if p.containers[caller] == nil || r.IntN(4) == 0 {
					p.containers[caller] = nil
					for id, n := range r.Perm(12)[:r.IntN(4)] {
						p.containers[caller] = append(p.containers[caller], running(fmt.Sprint(caller, id), fmt.Sprintf("10.0.0.%d", n)))
					}
				}
				p.compare(t, caller, lb.read(caller, p.containers[caller]))
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestContainersAreIdentifiedAgain when anything that tells who has an IP has changed.
func TestContainersAreIdentifiedAgain(t *testing.T) {
	was := []observe.Container{running("1i1", "10.0.0.1"), running("1i2", "10.0.0.2")}
	sum := identitySum(was)
	if identitySum(slices.Clone(was)) != sum {
		t.Error("the same containers have two sums")
	}
	for what, change := range map[string]func(*observe.Container){
		"id":     func(c *observe.Container) { c.ID = "1i3" },
		"ip":     func(c *observe.Container) { c.IP = "10.0.0.3" },
		"state":  func(c *observe.Container) { c.State = "stopped" },
		"launch": func(c *observe.Container) { c.LaunchName = "sidekick" },
	} {
		now := slices.Clone(was)
		change(&now[1])
		if identitySum(now) == sum {
			t.Errorf("another %s has the same sum", what)
		}
	}
}

// TestForgottenCallersClaimNothing: the row of a caller that was forgotten is nobody's, and told.
func TestForgottenCallersClaimNothing(t *testing.T) {
	r := newTestReader(t, newFakeHAProxy(t, serving("10.0.0.1", 1, 0), serving("10.0.0.2", 1, 0)))
	mine, theirs := running("1i1", "10.0.0.1"), running("1i2", "10.0.0.2")
	look(t, r, "theirs", theirs)
	if lb := look(t, r, "mine", mine); len(lb.Servers) != 1 {
		t.Errorf("servers = %+v, want my own", lb.Servers)
	}
	r.Forget("theirs")
	if lb := look(t, r, "mine", mine); len(lb.Servers) != 2 || lb.Servers[1].Container != "" {
		t.Errorf("servers = %+v, want my own and one that is nobody's", lb.Servers)
	}
}

// TestRowsThatGoTakeTheirCountsAlong: what a row counted after the last look, and before HAProxy shows it no more, is not
// the others'.
func TestRowsThatGoTakeTheirCountsAlong(t *testing.T) {
	f := newFakeHAProxy(t, serving("10.0.0.1", 1, 0), serving("10.0.0.2", 1, 0))
	r := newTestReader(t, f)
	both := []observe.Container{running("1i1", "10.0.0.1"), running("1i2", "10.0.0.2")}
	look(t, r, "mine", both...)
	f.set(func(f *fakeHAProxy) { f.rows[1].ok = 8 })
	look(t, r, "another")
	f.set(func(f *fakeHAProxy) { f.rows = f.rows[:1] })
	if lb := look(t, r, "mine", both...); lb.Others != (observe.Counts{}) || len(lb.Servers) != 1 {
		t.Errorf("others = %+v, servers = %+v, want nothing and one", lb.Others, lb.Servers)
	}
}

// TestLookCostsItsOwnRows: a caller's look allocates nothing for the rows of the other callers, and keeps nothing of them.
func TestLookCostsItsOwnRows(t *testing.T) {
	look := func(callers int) float64 {
		var b strings.Builder
		b.WriteString("# pxname,svname,status,check_status,type,weight,pid,lastchg,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,econ,eresp,wretr,wredis,chkfail,chkdown,\n")
		containers := make([][]observe.Container, callers)
		for n := range callers {
			ip := fmt.Sprintf("10.0.%d.%d", n/250, n%250)
			containers[n] = []observe.Container{running(fmt.Sprint("1i", n), ip)}
			fmt.Fprintf(&b, "p%d,%s,UP,L7OK,2,1,1,9,0,5,0,0,0,0,0,0,0,0,0,0,\n", n, rancherName(ip))
		}
		lb := benchLoadBalancer(t, []byte(b.String()))
		at := time.Now()
		lb.instances[0].take(arrival{asked: at, answered: at})
		for n := range containers {
			lb.read(fmt.Sprint(n), containers[n])
		}
		a := lb.accounts["0"]
		if len(a.marks) != 1 || len(a.marks[0].rows) != 1 || len(a.proxies) != 1 || &a.marks[0].proxies[0] != &lb.accounts["1"].marks[0].proxies[0] {
			t.Errorf("an account of %d keeps %+v", callers, a)
		}
		return testing.AllocsPerRun(20, func() { lb.read("0", containers[0]) })
	}
	if few, many := look(2), look(2000); many > few {
		t.Errorf("a look allocates %v times beside 2,000 callers, want %v as beside 2", many, few)
	}
}
