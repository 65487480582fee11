package registry

import (
	"context"
	"net/http"
	"time"

	"github.com/docker/distribution"
	"github.com/opencontainers/go-digest"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

const (
	// pullTTL is how long an answer about a digest is good for.
	pullTTL = 10 * time.Second
	// maxPulls bounds how many are remembered.
	maxPulls = 256
	// pullTimeout bounds all requests about one digest together.
	pullTimeout = 20 * time.Second
	// maxLayers bounds how many layers are asked for; Docker's own limit is 127.
	maxLayers = 128
)

// pullKey is what was asked.
type pullKey struct{ repository, digest, platform string }

// pullAnswer is what came of it, and when.
type pullAnswer struct {
	pullable observe.Pullable
	at       time.Time
}

// Pullable asks the registry whether everything that a host needs to pull
// repository@digest is still there: the manifest, the platform's manifest below
// an index, the image configuration and the layers. A definite no is OK == false
// without a Problem; a Problem means that it could not be found out.
func (w *Watcher) Pullable(ctx context.Context, repository, dgst, on string) observe.Pullable {
	key := pullKey{repository, dgst, on}
	if a, ok := w.pulls.get(key); ok && time.Since(a.at) < pullTTL {
		return a.pullable
	}
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	p := w.pullable(ctx, repository, dgst, parsePlatform(on))
	if p.Problem == nil {
		w.pulls.put(key, pullAnswer{p, time.Now()})
	}
	return p
}

func (w *Watcher) pullable(ctx context.Context, repository, dgst string, on platform) observe.Pullable {
	p := observe.Pullable{Digest: dgst}
	n, err := parseName(repository)
	if err != nil {
		p.Problem = &observe.Problem{Cause: observe.CauseInvalid, Message: err.Error()}
		return p
	}
	d, err := parseDigest(dgst)
	if err != nil {
		p.Problem = &observe.Problem{Cause: observe.CauseInvalid, Message: err.Error()}
		return p
	}
	w.mu.Lock()
	c := w.host(n.host).client
	w.mu.Unlock()
	found, err := c.pull(ctx, n.repo, d, on)
	if found != nil {
		p.Manifest, p.Config = found.manifest.String(), found.config.String()
	}
	switch {
	case isNotFound(err):
	case err != nil:
		p.Problem = problemOf(wrap(err, "asking for", n.at(d)))
	default:
		p.OK = !found.platformMissing
	}
	return p
}

// pull asks for everything but the content of layers.
func (c *client) pull(ctx context.Context, repo string, d digest.Digest, on platform) (*details, error) {
	document, err := c.fetchDigest(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	found, err := c.describe(ctx, repo, document, on)
	if err != nil || found.platformMissing {
		return found, err
	}
	if len(found.layers) > maxLayers {
		return found, invalid("the image has %d layers", len(found.layers))
	}
	for _, layer := range found.layers {
		if err := c.hasLayer(ctx, repo, layer); err != nil {
			return found, err
		}
	}
	return found, nil
}

// hasLayer asks for a layer. One that lives at other URLs is not this registry's
// to keep.
func (c *client) hasLayer(ctx context.Context, repo string, layer distribution.Descriptor) error {
	if len(layer.URLs) > 0 {
		return nil
	}
	d, err := parseDigest(layer.Digest.String())
	if err != nil {
		return invalid("a layer's digest: %v", err)
	}
	_, err = c.do(ctx, request{method: http.MethodHead, repo: repo, path: "/blobs/" + d.String()})
	return err
}
