package registry

import (
	"context"
	"crypto/sha256"

	// Digests may be of this kind.
	_ "crypto/sha512"
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	"github.com/docker/distribution"
	"github.com/docker/distribution/manifest/manifestlist"
	"github.com/docker/distribution/manifest/ocischema"
	"github.com/docker/distribution/manifest/schema1"
	"github.com/docker/distribution/manifest/schema2"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// accepted lists every kind of manifest and index that is understood. A kind left
// out would be converted, or the tag be called unknown: with schema 2 alone in
// Accept, docker/distribution 2.8 answers a list's amd64 manifest and 404 for an
// OCI index.
var accepted = strings.Join([]string{
	v1.MediaTypeImageIndex, v1.MediaTypeImageManifest,
	manifestlist.MediaTypeManifestList, schema2.MediaTypeManifest,
}, ", ")

// details are what a digest stands for on one platform. They never change.
type details struct {
	// manifest and config are the platform's.
	manifest, config digest.Digest
	// platformMissing says that there is nothing for the platform; then the rest
	// is empty.
	platformMissing bool
	// revision and created are from the image configuration.
	revision, created string
	// layers are what else a host has to pull, content what they hold.
	layers  []distribution.Descriptor
	content observe.Layers
}

// document is a manifest or index as it was sent, with its digest checked.
type document struct {
	digest    digest.Digest
	mediaType string
	body      []byte
}

// mediaTypeOf reads a Content-Type.
func mediaTypeOf(header http.Header) string {
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return mediaType
}

// checkMediaType refuses what is not understood, by name.
func checkMediaType(mediaType string) error {
	switch mediaType {
	case v1.MediaTypeImageIndex, v1.MediaTypeImageManifest, manifestlist.MediaTypeManifestList, schema2.MediaTypeManifest:
		return nil
	case schema1.MediaTypeManifest, schema1.MediaTypeSignedManifest:
		return invalid("schema 1 manifests are not supported: push the image again with a newer docker")
	case "":
		return invalid("the registry does not say what kind of manifest it sends")
	}
	return invalid("manifests of the kind %s are not supported", clean(mediaType))
}

func isIndex(mediaType string) bool {
	return mediaType == v1.MediaTypeImageIndex || mediaType == manifestlist.MediaTypeManifestList
}

// fetch gets a manifest by tag or digest and hashes it. etag may be empty; a nil
// document is "not modified".
func (c *client) fetch(ctx context.Context, repo, what, etag string) (*document, error) {
	a, err := c.do(ctx, request{method: http.MethodGet, repo: repo, path: "/manifests/" + what, accept: accepted, etag: etag})
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusNotModified {
		return nil, nil
	}
	d := &document{mediaType: mediaTypeOf(a.header), body: a.body, digest: digest.FromBytes(a.body)}
	if said, err := parseDigest(a.header.Get("Docker-Content-Digest")); err == nil {
		if err := verify(said, a.body); err != nil {
			return nil, err
		}
	}
	if d.mediaType == "" {
		d.mediaType = mediaTypeIn(a.body)
	}
	if err := checkMediaType(d.mediaType); err != nil {
		return nil, err
	}
	return d, nil
}

// mediaTypeIn is the kind that a manifest says it is.
func mediaTypeIn(body []byte) string {
	var m struct {
		MediaType string `json:"mediaType"`
	}
	if json.Unmarshal(body, &m) != nil {
		return ""
	}
	return m.MediaType
}

// fetchDigest gets a manifest that must have the digest.
func (c *client) fetchDigest(ctx context.Context, repo string, want digest.Digest) (*document, error) {
	d, err := c.fetch(ctx, repo, want.String(), "")
	if err != nil {
		return nil, err
	}
	if d == nil {
		return nil, invalid("not modified, although nothing was known")
	}
	if err := verify(want, d.body); err != nil {
		return nil, err
	}
	d.digest = want
	return d, nil
}

// describe says what a manifest or index stands for on a platform.
func (c *client) describe(ctx context.Context, repo string, d *document, on platform) (*details, error) {
	m, err := parseManifest(d)
	if err != nil {
		return nil, err
	}
	if index, ok := m.(*manifestlist.DeserializedManifestList); ok {
		chosen, err := choose(index.Manifests, on)
		if err != nil || chosen == "" {
			return &details{platformMissing: true}, err
		}
		if d, err = c.fetchDigest(ctx, repo, chosen); err != nil {
			return nil, err
		}
		if isIndex(d.mediaType) {
			return nil, invalid("the index names another index for %s: nested indexes are not supported", on)
		}
		if m, err = parseManifest(d); err != nil {
			return nil, err
		}
	}
	return c.describeImage(ctx, repo, d.digest, m, on)
}

// describeImage reads the configuration of a platform's manifest.
func (c *client) describeImage(ctx context.Context, repo string, manifest digest.Digest, m distribution.Manifest, on platform) (*details, error) {
	var config distribution.Descriptor
	var layers []distribution.Descriptor
	switch m := m.(type) {
	case *schema2.DeserializedManifest:
		config, layers = m.Config, m.Layers
	case *ocischema.DeserializedManifest:
		config, layers = m.Config, m.Layers
	default:
		return nil, invalid("the manifest is not one of an image")
	}
	if config.MediaType != schema2.MediaTypeImageConfig && config.MediaType != v1.MediaTypeImageConfig {
		return nil, invalid("not a container image: its configuration is of the kind %s", clean(config.MediaType))
	}
	if _, err := parseDigest(config.Digest.String()); err != nil {
		return nil, invalid("the configuration's digest: %v", err)
	}
	image, err := c.fetchConfig(ctx, repo, config.Digest)
	if err != nil {
		return nil, err
	}
	if !image.runsOn(on) {
		return &details{platformMissing: true}, nil
	}
	return &details{
		manifest: manifest, config: config.Digest, layers: layers, content: image.content(),
		revision: clean(image.Config.Labels[v1.AnnotationRevision]), created: clean(image.Created),
	}, nil
}

// imageConfig is the part of an image configuration that is read.
type imageConfig struct {
	Created      string `json:"created"`
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
	Config       struct {
		Labels map[string]string `json:"Labels"`
	} `json:"config"`
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// content names what the layers hold, by their digests uncompressed (diff_ids) and in
// their order. The manifest's own digests are of compressed layers: the same files
// pushed by another builder, or with another level of compression, have others. The
// configuration's word can be taken, because Docker unpacks each layer against it. A
// file that was copied with another time of change makes another layer, so a rebuild
// without the builder's cache is known again only where it is reproducible.
func (i *imageConfig) content() (l observe.Layers) {
	if len(i.RootFS.DiffIDs) == 0 {
		return l
	}
	sum := sha256.Sum256([]byte(strings.Join(i.RootFS.DiffIDs, "\n")))
	copy(l[:], sum[:]) // Half of it tells apart what nobody makes alike on purpose.
	return l
}

// runsOn compares platforms; a configuration that names none is not doubted, and
// neither is one that leaves the variant out.
func (i *imageConfig) runsOn(on platform) bool {
	if i.OS == "" && i.Architecture == "" {
		return true
	}
	p := normalPlatform(platform{i.OS, i.Architecture, i.Variant})
	return p.os == on.os && p.arch == on.arch && (p.variant == on.variant || i.Variant == "")
}

// fetchConfig gets an image configuration.
func (c *client) fetchConfig(ctx context.Context, repo string, want digest.Digest) (*imageConfig, error) {
	a, err := c.do(ctx, request{method: http.MethodGet, repo: repo, path: "/blobs/" + want.String()})
	if err != nil {
		return nil, err
	}
	if err := verify(want, a.body); err != nil {
		return nil, err
	}
	var image imageConfig
	if err := json.Unmarshal(a.body, &image); err != nil {
		return nil, invalid("the image configuration is not valid JSON")
	}
	return &image, nil
}

// parseManifest reads a manifest or index with docker/distribution's own types.
func parseManifest(d *document) (distribution.Manifest, error) {
	m, _, err := distribution.UnmarshalManifest(d.mediaType, d.body)
	if err != nil {
		return nil, invalid("the manifest cannot be read: %s", clean(err.Error()))
	}
	return m, nil
}

// choose finds the platform's manifest in an index; empty means there is none.
// Attestations, which BuildKit adds as unknown/unknown, are no platform.
func choose(manifests []manifestlist.ManifestDescriptor, on platform) (digest.Digest, error) {
	for _, m := range manifests {
		if normalPlatform(platform{m.Platform.OS, m.Platform.Architecture, m.Platform.Variant}) != on {
			continue
		}
		if isIndex(m.MediaType) {
			return "", invalid("the index names another index for %s: nested indexes are not supported", on)
		}
		if err := checkMediaType(m.MediaType); err != nil {
			return "", err
		}
		if _, err := parseDigest(m.Digest.String()); err != nil {
			return "", invalid("the digest for %s in the index: %v", on, err)
		}
		return m.Digest, nil
	}
	return "", nil
}
