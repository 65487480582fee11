// Package rancher is Drover's hand on a Rancher 1.6 server, API v2-beta.
//
// It does three things. The Client reads services, containers and hosts into the
// types of pkg/observe. The same Client acts: upgrade, finishupgrade,
// cancelupgrade, rollback, and the logs action; nothing else can leave this
// process, because a guard in front of the network knows no other verb. The
// Informer keeps a reduced picture of the followed services fresh from the event
// stream and says which of them changed.
//
// What it promises:
//
//   - An upgrade sends the launch configuration back as it was read, byte for
//     byte, but for the image and the labels that begin with io.drover. Rancher
//     replaces launch configurations wholesale, so whatever a client forgets is
//     lost. The edit works on the raw JSON, and a proof compares before and after
//     again before the request may leave.
//   - A body that the server would accept and choke on (a null batch size, a
//     malformed digest) is refused here.
//   - A write is sent once. When its result is not known the error says so
//     (Unknown), and the caller reads before it does anything else. Reads are
//     repeated a few times.
//   - Whatever comes back is bounded in size and time, checked for the id and
//     type that were asked for, and never trusted to point to another host.
//
// The order of an upgrade is PrepareUpgrade (read, check, edit, prove), then the
// caller's journal, then Upgrade with what was prepared.
package rancher
