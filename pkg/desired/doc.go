// Package desired says what should run: the contents of targets.yaml.
//
// Load reads the file in four steps, each in a file of its own:
//
//  1. tree.go turns the text into a tree with lines, within bounds of size,
//     depth and aliases.
//  2. shape.go compares the tree with the types: unknown keys, wrong types, and
//     values that break what the tags in types.go say of them.
//  3. defaults.go merges the file's defaults into each target and fills the rest.
//  4. relations.go checks knobs and names against each other.
//
// Mistakes do not stop it: what is wrong is cut out and the rest is checked, so
// that all mistakes are told at once, each with its line and path. A message
// never repeats what stands beside a secret's key.
//
// A Config that Load returned without an error is complete: every pointer that
// has a default is set, and no reader needs to know a default again. It is never
// changed afterwards; a Source replaces it as a whole when the file changes.
//
// The types with their comments and tags are the one source of the checks, the
// JSON Schema (Schema) and the reference page (Reference).
package desired
