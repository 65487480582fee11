//go:build !race

package watch

const isRace = false
