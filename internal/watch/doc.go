// Package watch shows one service in a terminal, from the push to the finish, and
// lets a person decide.
//
// A Feed looks: at the daemon, Rancher and the load balancer about once a second,
// and at once when Rancher tells of a change; at the containers' logs all the time.
// What it finds are messages. The Model takes messages and keys, and its View is
// the screen: neither does any input or output, or reads a clock, so every screen
// can be tested as text. Run is the program around both, and Plain the same story
// in lines for who has no terminal.
//
// Nothing that is shown slows down what is looked at: log lines come in bounded
// batches, the ones kept are bounded, and what the follower dropped because nobody
// read fast enough is counted on the screen. Leaving leaves the rollout alone.
package watch
