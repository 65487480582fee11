//go:build !race

package rancher

// raceEnabled says that the race detector watches.
const raceEnabled = false
