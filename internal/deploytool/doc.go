// Package deploytool keeps the contract of rancher-gitlab-deploy 1.7 on Drover's
// Rancher client: the tool that GitLab pipelines around Rancher 1.6 call.
//
// One Run is one call of the tool. It chooses environment, stack and service by
// name, finishes a previous upgrade that is still open, sends the launch
// configuration that runs with what the options change, waits, and finishes, or
// creates what is missing. Its words, their colours and its exit codes are what
// pipelines rely on, so the words that people grep for are kept; the sentences
// around them are ours.
//
// Where exact fidelity would be a bug it is not kept: docs/rancher-gitlab-deploy.md
// lists every deviation in one table, and test/deploytool compares both tools on
// identical servers.
//
// Files: options.go what can be asked for, tool.go one call from start to end,
// choose.go which service is meant, create.go what is missing, upgrade.go and
// wait.go the rollout, proof.go when it counts as complete, rollback.go the way
// back, verbs.go the further commands, say.go how it is told.
package deploytool
