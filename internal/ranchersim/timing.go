package ranchersim

import "time"

// Rancher's own waits. The first group are settings and schedules of Cattle (defaults.properties and
// cattle-global.properties), the second what containers took on a running server. All are divided by Options.Speed.
const (
	monitorTimeout  = 45 * time.Second  // resource.monitor.default.wait.millis: one wait for health, start or stop.
	replayInterval  = 15 * time.Second  // task.process.replay.schedule: when a process that gave up is run again.
	retryBase       = 2 * time.Second   // Delay before the next run, plus 100 ms doubled with every execution …
	retryMax        = 120 * time.Second // … up to process.retry_max_wait.millis.
	stateCheck      = 5 * time.Second   // How often a health wait looks whether the service's state changed.
	sleepSlice      = time.Second       // The pause between batches is slept in slices with a look at the state.
	eventInterval   = time.Second       // task.resource.change.publish.schedule.
	pingInterval    = 5 * time.Second   // api.sub.ping.interval.millis.
	maxPings        = 8640              // api.sub.max.pings: a subscription ends after 12 hours.
	cleanupInterval = 60 * time.Second  // task.healthcheck.cleanup.schedule.

	purgeAfter = 10 * time.Minute    // From a removal until nothing is left of the record; an inference.
	eventsKept = 14 * 24 * time.Hour // events.purge.after.seconds: how long what agents reported can be listed.

	beginTime      = 20 * time.Millisecond // From a process's turn until it does something.
	registerTime   = 250 * time.Millisecond
	upgradeVisible = 20 * time.Millisecond // From the POST until service.upgrade is written …
	upgradeBegins  = 20 * time.Millisecond // … and from there until the first container is touched.
	stepTime       = 100 * time.Millisecond
	settleTime     = 200 * time.Millisecond // What has come about is told of not before that.
	idleTime       = 10 * time.Millisecond  // Reconcile finds nothing to do.
	createTime     = 100 * time.Millisecond
	creationGap    = 80 * time.Millisecond // Containers are created one after the other.
	startPhase     = 100 * time.Millisecond
	stopTime       = 60 * time.Millisecond
	removeTime     = 60 * time.Millisecond
	removedTime    = 40 * time.Millisecond  // From the last one until the service is looked at again.
	removalGap     = 20 * time.Millisecond  // One after the other, too.
	healthLag      = 40 * time.Millisecond  // Until a service's healthState follows its containers.
	reportTime     = 40 * time.Millisecond  // A health report is taken in: updating-healthy, then healthy.
	triggerDelay   = 500 * time.Millisecond // Until an active service is looked at again after a change.
	updateRace     = 17 * time.Second       // Until service.update gets the lock of a service that is upgrading.

	stopTimeout = 10 * time.Second // Of a container's process; real time, not scaled.
)
