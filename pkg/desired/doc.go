// Package desired says what should run: the contents of targets.yaml.
//
// It parses strictly, fills defaults in one place, validates in another, and
// names the line and the path in every complaint. A Config that Load returned
// without an error is complete: every pointer that has a default is set, and no
// reader needs to know a default again.
package desired
