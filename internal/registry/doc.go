// Package registry watches image references in Docker registries.
//
// A Watcher is an informer: it keeps what each followed tag resolves to and says
// when that changes, so that nobody polls per target. Each distinct reference is
// asked for once per interval, with a conditional HEAD (If-None-Match on the last
// digest), however many targets share it; the requests are spread over the
// interval. One registry has one client: its connections, tokens, rate and
// concurrency limits and the pauses it asked for (Retry-After) hold for all its
// references, and a registry that fails disturbs no other.
//
// What the package promises:
//
//   - A digest is reported only when it is certain: named by the registry in
//     Docker-Content-Digest or computed from the body, and for a digest that was
//     not known before also compared with the body it stands for.
//   - A tag is pinned by what it resolves to (an index stays an index); beside it
//     stand the platform's manifest and the configuration Docker will run.
//   - What cannot be read leaves the last known digest standing, with a Problem
//     beside it. No failure is ever reported as "no change".
//   - Nothing is guessed: schema 1, nested indexes and unknown media types are
//     refused with the reason.
//   - Credentials go to the registry and to the token service it may use, never
//     to another host, and never to plain HTTP unless that is configured.
//
// The order of things: New, then Update with the registries and references, then
// Run (background) or Sweep (once, as fast as the limits allow); Update again
// whenever the configuration changes. Image and Pullable may be called any time.
package registry
