//go:build race

package watch

const isRace = true
