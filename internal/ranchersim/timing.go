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

	registerTime   = 250 * time.Millisecond
	upgradeVisible = 60 * time.Millisecond // From the POST until service.upgrade is written.
	stepTime       = 100 * time.Millisecond
	settleTime     = 500 * time.Millisecond // A resource monitor notices that a container runs or stopped.
	resumeTime     = 300 * time.Millisecond // A health wait that had to wait goes on.
	idleTime       = 50 * time.Millisecond  // Reconcile finds nothing to do.
	createTime     = 100 * time.Millisecond
	startPhase     = 100 * time.Millisecond
	stopTime       = 200 * time.Millisecond
	removeTime     = 120 * time.Millisecond
	healthLag      = 80 * time.Millisecond  // Until a service's healthState follows its containers.
	reportTime     = 40 * time.Millisecond  // A health report is taken in: updating-healthy, then healthy.
	triggerDelay   = 500 * time.Millisecond // Until an active service is looked at again after a change.
	updateRace     = 17 * time.Second       // Until service.update gets the lock of a service that is upgrading.

	stopTimeout = 10 * time.Second // Of a container's process; real time, not scaled.
)
