// Package bench measures the whole daemon, the binary that people run, against
// peers that are not in its process: `make bench` runs it, docs/performance.md
// reports it.
package bench
