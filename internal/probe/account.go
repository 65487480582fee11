package probe

import (
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// account is where one caller stood at its last look at a load balancer.
type account struct {
	// seen is when that was.
	seen time.Time
	// marks are where it stood in each instance.
	marks map[*instance]mark
	// proxies are those in which a container of the caller was found, ever: while
	// the last one is replaced, its proxy is still the caller's.
	proxies map[string]bool
	// ids are the caller's containers.
	ids identities
}

// mark is where an account stood in the ledger of an instance.
type mark struct {
	// pages and epoch are the ledger's; pages is 0 when it was never read.
	pages, epoch uint64
	total        counters
	// rows are the servers that were listed.
	rows map[*server]standing
}

// standing is where an account stood in a row.
type standing struct {
	// container was behind the row; empty when nobody knew.
	container string
	sum       counters
	// epoch is the process, and base what it had counted when the container came
	// to be behind the row.
	epoch uint64
	base  counters
}

// maxProxies bounds the proxies an account remembers.
const maxProxies = 1000

func newAccount() *account {
	return &account{marks: make(map[*instance]mark), proxies: make(map[string]bool)}
}

// findProxies notes the proxies with rows of the caller's containers.
func (a *account) findProxies(in *instance) {
	for _, s := range in.ledger.servers {
		if a.proxies[s.row.proxy] || len(a.proxies) >= maxProxies {
			continue
		}
		if a.ids.container(&s.row) != "" {
			a.proxies[s.row.proxy] = true
		}
	}
}

// read lists what an instance counted since the account's last look at it, and
// moves the account there. Rows that are not listed go into the sum Others.
func (a *account) read(in *instance, isListed func(*server, string) bool, out *observe.LoadBalancer) {
	led := &in.ledger
	before := a.marks[in]
	after := mark{pages: led.pages, epoch: led.epoch, total: led.total, rows: make(map[*server]standing, len(before.rows))}
	others := led.total.minus(&before.total)
	for _, s := range led.servers {
		container := a.ids.container(&s.row)
		if !isListed(s, container) {
			continue
		}
		grown := before.grown(s)
		others = others.minus(&grown)
		now := before.stand(s, container, led.epoch)
		if !before.isSame(s, container) {
			grown = counters{}
		}
		after.rows[s] = now
		out.Servers = append(out.Servers, describe(in, s, now, &grown))
	}
	others = others.minus(before.gone(after))
	a.marks[in] = after
	if before.pages > 0 {
		addCounts(&out.Others, others.counts())
		out.Reloaded = out.Reloaded || before.epoch != led.epoch
	}
}

// grown is what a row counted since the mark, whoever was behind it.
func (m *mark) grown(s *server) counters {
	if m.pages == 0 {
		return counters{}
	}
	was, isKnown := m.rows[s]
	switch {
	case isKnown:
		return s.sum.minus(&was.sum)
	case s.born > m.pages:
		return s.sum
	}
	return counters{}
}

// isSame says that what a row counted since the mark was counted by the container
// behind it now. An IP, and with it a row, can pass to another container without
// a reload.
func (m *mark) isSame(s *server, container string) bool {
	was, isKnown := m.rows[s]
	if !isKnown {
		return s.born > m.pages
	}
	return was.container == container
}

// stand is where the account stands in a row after this look.
func (m *mark) stand(s *server, container string, epoch uint64) standing {
	now := standing{container: container, sum: s.sum, epoch: epoch}
	was, isKnown := m.rows[s]
	switch {
	case isKnown && was.container != container:
		now.base = s.row.counted()
	case isKnown && was.epoch == epoch:
		now.base = was.base
	}
	return now
}

// gone is what servers counted between the mark and their disappearance.
func (m *mark) gone(after mark) *counters {
	var sum counters
	for s, was := range m.rows {
		if _, isHere := after.rows[s]; !isHere && s.shown < after.pages {
			last := s.sum.minus(&was.sum)
			sum.add(&last)
		}
	}
	return &sum
}

// describe is what is said of a row.
func describe(in *instance, s *server, at standing, grown *counters) observe.Server {
	r := &s.row
	now := r.counted()
	total := now.minus(&at.base)
	return observe.Server{
		Container: at.container,
		Instance:  in.name,
		Proxy:     r.proxy,
		Name:      r.name,
		Status:    classify(r.status, r.check, r.weight),
		Text:      r.status,
		Weight:    r.weight,
		Check:     r.check,
		Delta:     grown.counts(),
		Total:     total.counts(),
		Uncounted: !r.countsResponses(),

		CheckFailures: grown.checkFailures(),
		Latency:       r.latency(in.page.header.layout.rtime),
	}
}

func addCounts(sum *observe.Counts, c observe.Counts) {
	sum.Requests += c.Requests
	sum.Failures += c.Failures
	sum.ClientErrors += c.ClientErrors
	sum.Retries += c.Retries
}
