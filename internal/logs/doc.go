// Package logs follows what containers write.
//
// Rancher 1.6 aggregates nothing: there is one websocket per container, its
// options are inside the token of its URL, and a close with code 1000 may mean
// that the container stopped, that it was removed, or that a host agent went
// away. This package makes of that:
//
//   - a Decoder of the frames, which survives the headers of Docker's
//     multiplexed stream that Rancher's agent lets through;
//   - a stream per container that asks again after every cut, from a little
//     before the last line it delivered, and recognizes by time and text what it
//     delivered already: nothing is lost, nothing comes twice;
//   - a Follower, which merges the streams of a changing set of containers in
//     the order of their timestamps, within a bounded window;
//   - a Watcher, which counts what patterns match for the log gate and answers
//     from memory (observe.LogReader);
//   - Tail, the last lines of one container: evidence before a rollback.
//
// The reader of a websocket never waits for whoever reads the lines. Rancher's
// websocket proxy holds up the whole connection of a host while one of its
// clients is slow (websocket-proxy, multiplexer.go), so lines that do not fit
// into the buffer are dropped here and counted.
//
// URLs of streams hold tokens; no error and no log line contains one.
package logs
