// Package compose reads what a pair of Rancher's compose files says about a
// stack, finds in it what makes rollouts unsafe, and makes targets of it.
//
//	stack, err := compose.Read("gf-chat", compose.File{Name: "docker-compose.yml", Data: …}, compose.File{Name: "rancher-compose.yml", Data: …})
//	config, notes := compose.Targets(stack, compose.TargetOptions{})   // the text of a targets.yaml, and what could not be said in it
//	problems := compose.Lint(stack)                                    // what makes its rollouts unsafe
//
// docker-compose.yml is read by compose-go, rancher-compose.yml by this package:
// Rancher's executor is archived, and nobody else reads that file. FromRancher
// makes the same Stack of services that run, so that import and export are one.
//
// Variables stay as they are written, ${LIKE_THIS}: what they stand for is not
// in the files, and a secret must not get into what is printed.
package compose
