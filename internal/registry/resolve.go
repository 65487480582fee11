package registry

import (
	"context"
	"errors"
	"net/http"

	"github.com/opencontainers/go-digest"
)

// resolve says what a tag is now. last is the digest known from before, or empty.
// When the digest is not last, the document behind it was read and checked, and
// is returned too.
func (c *client) resolve(ctx context.Context, n name, last digest.Digest) (digest.Digest, *document, error) {
	d, err := c.head(ctx, n, last)
	if err != nil {
		return "", nil, wrap(err, "checking", n.String())
	}
	if d == last {
		return d, nil, nil
	}
	document, err := c.fetchDigest(ctx, n.repo, d)
	if isMismatch(err) || isNotFound(err) {
		// The tag may have moved in between, or one of several replicas may be
		// behind the others: look once more before calling it a lie.
		document, err = c.recheck(ctx, n)
	}
	if err != nil {
		return "", nil, wrap(err, "reading", n.at(d))
	}
	return document.digest, document, nil
}

// recheck compares what the registry says of a tag with what it gives.
func (c *client) recheck(ctx context.Context, n name) (*document, error) {
	said, err := c.head(ctx, n, "")
	if err != nil {
		return nil, err
	}
	document, err := c.fetch(ctx, n.repo, n.tag, "")
	if err != nil {
		return nil, err
	}
	if document == nil {
		return nil, invalid("not modified, although nothing was known")
	}
	if err := verify(said, document.body); err != nil {
		return nil, &Error{Code: CodeMismatch, Message: "the registry contradicts itself twice: " + err.Error()}
	}
	document.digest = said
	return document, nil
}

// head asks for a tag's digest with a conditional HEAD. A 304 names no digest and
// needs to name none.
func (c *client) head(ctx context.Context, n name, last digest.Digest) (digest.Digest, error) {
	a, err := c.do(ctx, request{method: http.MethodHead, repo: n.repo, path: "/manifests/" + n.tag, accept: accepted, etag: quote(last)})
	if isMethodRefused(err) {
		return c.hashTag(ctx, n, last)
	}
	if err != nil {
		return "", err
	}
	if a.status == http.StatusNotModified {
		return notModified(last)
	}
	if mediaType := mediaTypeOf(a.header); mediaType != "" {
		if err := checkMediaType(mediaType); err != nil {
			return "", err
		}
	}
	d, err := parseDigest(a.header.Get("Docker-Content-Digest"))
	if err != nil {
		return c.hashTag(ctx, n, last)
	}
	return d, nil
}

// hashTag computes the digest of a tag from its body, for registries that do not
// name it, or not in a form that can be believed.
func (c *client) hashTag(ctx context.Context, n name, last digest.Digest) (digest.Digest, error) {
	document, err := c.fetch(ctx, n.repo, n.tag, quote(last))
	if err != nil {
		return "", err
	}
	if document == nil {
		return notModified(last)
	}
	return document.digest, nil
}

// notModified is the digest that If-None-Match named.
func notModified(last digest.Digest) (digest.Digest, error) {
	if last == "" {
		return "", invalid("not modified, although nothing was known")
	}
	return last, nil
}

// quote makes an entity tag. docker/distribution compares the text with and
// without quotes, and nothing else: no list, no weak tag.
func quote(d digest.Digest) string {
	if d == "" {
		return ""
	}
	return `"` + d.String() + `"`
}

// isMethodRefused says that the registry does not do HEAD.
func isMethodRefused(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusNotImplemented)
}
