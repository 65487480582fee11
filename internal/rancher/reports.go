package rancher

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"time"
)

// What Docker runs is told by containerEvent alone, the reports that agents make of
// their hosts (rancher-api 15.3), and no event is told twice: a Drover that begins, or
// was away, would know nothing of a container until that starts again. Rancher keeps
// reports for two weeks (events.purge.after.seconds, TableCleanup#getEventTables), and
// the key of an environment may list them (schema containerEvent in 06-errors-2.jsonl:
// collectionMethods GET). So each session walks through them once, newest first.
//
// They are not asked for container by container: neither external_id nor
// external_status has an index (core-029.xml), so each question would read the whole
// table. By id, descending, its end is read backwards, and no further than is needed.

const (
	// reportsPage is how many reports are asked for at once: 6 kB each, 1.2 MB.
	reportsPage = 200
	// maxReportPages bounds a walk: 20,000 starts, more than 5,000 services of three
	// containers each have.
	maxReportPages = 100
	// maxReportBytes bounds a walk as well, where the reports are large.
	maxReportBytes = 128 << 20
	// reportsPause is the least time from one page to the next: events come first.
	reportsPause = 200 * time.Millisecond
	// reportsLoad is how many times as long as a page took the pause is, so that a walk
	// keeps neither Rancher nor this process busy.
	reportsLoad = 4
	// retryReports is when a page is asked for again that could not be read.
	retryReports = time.Minute
)

// stateRunning is Rancher's word for a container that runs.
const stateRunning = "running"

// reports is the walk through what agents reported. It belongs to Run's goroutine.
type reports struct {
	// due is when the next page is read; nil while there is none.
	due *time.Timer
	// size is how many are asked for, less once they were too large.
	size int
	// next is where the next page is; nil is the first.
	next *url.URL
	// pages and bytes are what the walk took so far.
	pages int
	bytes int64
	// top is the newest report of this walk, floor that of the last one that ended:
	// what is older was read then.
	top, floor uint64
	// refused says that a refusal was logged and no success since.
	refused bool
}

// wake is when a page is to be read; nil is never.
func (r *reports) wake() <-chan time.Time {
	if r.due == nil {
		return nil
	}
	return r.due.C
}

// begin starts a walk, at once. All of it is to be read when some services were not
// followed at the last one.
func (r *reports) begin(all bool) {
	if all {
		r.floor = 0
	}
	r.stop()
	*r = reports{due: time.NewTimer(0), size: reportsPage, floor: r.floor, refused: r.refused}
}

// stop breaks a walk off; the next one begins where this one did.
func (r *reports) stop() {
	if r.due != nil {
		r.due.Stop()
	}
	r.due = nil
}

// end ends a walk: the next one reads what came since.
func (r *reports) end() {
	r.stop()
	r.floor = max(r.floor, r.top)
}

// isSpent says that a walk took as much as it may.
func (r *reports) isSpent() bool {
	return r.pages >= maxReportPages || r.bytes >= maxReportBytes
}

// readReports reads a page of what agents reported, if some container's image is not
// known.
func (i *Informer) readReports(ctx context.Context) {
	r := &i.reports
	if r.isSpent() || !i.cache.hasUnseenImages() {
		r.end()
		return
	}
	began := time.Now()
	r.pages++
	isLast, err := i.readReportsPage(ctx)
	switch {
	case err != nil:
		i.heedReportsError(err)
	case isLast:
		r.refused = false
		r.end()
	default:
		r.refused = false
		r.due.Reset(max(reportsPause, reportsLoad*time.Since(began)))
	}
}

// heedReportsError decides how a walk goes on after a page that could not be read: with
// a smaller one, later, or not in this session.
func (i *Informer) heedReportsError(err error) {
	r := &i.reports
	var e *Error
	isOurs := errors.As(err, &e)
	if isOurs && e.Code == CodeTooLarge && r.size > minPageSize {
		r.size = max(r.size/4, minPageSize)
		r.due.Reset(reportsPause)
		return
	}
	if !r.refused {
		r.refused = true
		i.log.Info("what docker reported is not listed, so the images of running containers are known once they start again", "reason", clip(err.Error()))
	}
	if isOurs && e.Temporary() {
		r.due.Reset(retryReports)
		return
	}
	r.stop()
}

// readReportsPage reads one page, and says whether it is the last that is needed.
func (i *Informer) readReportsPage(ctx context.Context) (isLast bool, err error) {
	const op = "listing what docker reported"
	r := &i.reports
	u, err := i.reportsURL(ctx)
	if err != nil {
		return false, err
	}
	images := map[string]string{}
	p, err := readPage(ctx, i.client, op, u, func(raw *json.RawMessage) error {
		r.bytes += int64(len(*raw))
		id, err := takeReport(images, *raw)
		r.top = max(r.top, id)
		// What is as old was read in the last walk, and what follows it too.
		isLast = isLast || id <= r.floor
		return err
	})
	if err != nil {
		return false, err
	}
	if err := p.check(op, "containerEvent"); err != nil {
		return false, err
	}
	i.take(i.cache.applyImages(images))
	if p.Next == "" || isLast {
		return true, nil
	}
	r.next, err = i.client.nextPage(op, u, p.Next, nil)
	return false, err
}

// reportsURL is where the next page is.
func (i *Informer) reportsURL(ctx context.Context) (*url.URL, error) {
	if i.reports.next != nil {
		return withLimit(i.reports.next, i.reports.size), nil
	}
	u, err := i.client.scope(ctx, "/containerevents", url.Values{"externalStatus": {"start"}, "sort": {"id"}, "order": {"desc"}})
	if err != nil {
		return nil, err
	}
	return withLimit(u, i.reports.size), nil
}

// takeReport notes what a report says of a container's image, and returns the number of
// the report. A container keeps its image for life, so all its reports say the same.
func takeReport(images map[string]string, raw []byte) (id uint64, err error) {
	var w wireContainerEvent
	if err := json.Unmarshal(raw, &w); err != nil {
		return 0, jsonError(err)
	}
	if ev := w.event(); ev != nil {
		images[ev.external] = ev.image
	}
	return idNumber(w.ID), nil
}

// hasUnseenImages says that it is not known what some running container runs.
func (c *cache) hasUnseenImages() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, held := range c.containers {
		if held.external != "" && held.view.State == stateRunning && c.images[held.external] == "" {
			return true
		}
	}
	return false
}

// applyImages notes which images held containers run, by Docker's ids of them. What is
// known already stays, and nothing is kept of others.
func (c *cache) applyImages(images map[string]string) news {
	c.mu.Lock()
	defer c.mu.Unlock()
	var n news
	for _, held := range c.containers {
		image := images[held.external]
		if image == "" || c.images[held.external] != "" {
			continue
		}
		// The key is the container's own text, so that an entry takes next to no room.
		c.images[held.external] = image
		for _, id := range held.services {
			n.changed = append(n.changed, keyOf(c.services[id].view))
		}
	}
	return n
}
