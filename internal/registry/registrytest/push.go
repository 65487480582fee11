package registrytest

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/docker/distribution"
	"github.com/docker/distribution/manifest"
	"github.com/docker/distribution/manifest/manifestlist"
	"github.com/docker/distribution/manifest/schema2"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// ImageSpec says what an image is. Equal specs have equal digests.
type ImageSpec struct {
	// Labels are the labels of the image configuration.
	Labels map[string]string
	// Created is the creation time; the zero time is left out.
	Created time.Time
	// Env are NAME=value pairs.
	Env []string
	// Platform is os/architecture[/variant]; empty means linux/amd64.
	Platform string
	// OCI pushes the OCI media types instead of Docker's.
	OCI bool
	// Content is the content of the one file in the one layer.
	Content string
	// Level is how well the layer is compressed, as in compress/gzip; zero is the
	// default. The same content at another level is a layer of another digest.
	Level int
}

// platform splits os/architecture[/variant].
func (s ImageSpec) platform() v1.Platform {
	parts := append(strings.Split(s.Platform, "/"), "", "")
	if s.Platform == "" {
		return v1.Platform{OS: "linux", Architecture: "amd64"}
	}
	return v1.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
}

// PushImage pushes an image of one small layer and returns its manifest's digest.
// An empty tag pushes it by digest only.
func (r *Registry) PushImage(ctx context.Context, repo, tag string, spec ImageSpec) (string, error) {
	body, mediaType, err := r.pushParts(ctx, repo, spec)
	if err != nil {
		return "", fmt.Errorf("pushing %s:%s: %w", repo, tag, err)
	}
	return r.PutManifest(ctx, repo, tag, mediaType, body)
}

// PushIndex pushes one image per spec and an index over them, and returns the
// index's digest. It is an OCI index when the first spec is an OCI image.
func (r *Registry) PushIndex(ctx context.Context, repo, tag string, specs ...ImageSpec) (string, error) {
	index := manifestlist.ManifestList{Versioned: manifestlist.SchemaVersion}
	if len(specs) > 0 && specs[0].OCI {
		index.Versioned = manifestlist.OCISchemaVersion
	}
	for _, spec := range specs {
		body, mediaType, err := r.pushParts(ctx, repo, spec)
		if err != nil {
			return "", fmt.Errorf("pushing for the index %s:%s: %w", repo, tag, err)
		}
		if _, err := r.PutManifest(ctx, repo, "", mediaType, body); err != nil {
			return "", err
		}
		p := spec.platform()
		index.Manifests = append(index.Manifests, manifestlist.ManifestDescriptor{
			Descriptor: describe(mediaType, body),
			Platform:   manifestlist.PlatformSpec{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant},
		})
	}
	body, err := json.Marshal(index)
	if err != nil {
		return "", err
	}
	return r.PutManifest(ctx, repo, tag, index.MediaType, body)
}

// pushParts pushes layer and configuration and makes the manifest.
func (r *Registry) pushParts(ctx context.Context, repo string, spec ImageSpec) ([]byte, string, error) {
	layer, diffID, err := layerOf(spec)
	if err != nil {
		return nil, "", err
	}
	config, err := json.Marshal(configOf(spec, diffID))
	if err != nil {
		return nil, "", err
	}
	for _, blob := range [][]byte{layer, config} {
		if err := r.pushBlob(ctx, repo, blob); err != nil {
			return nil, "", err
		}
	}
	m := schema2.Manifest{
		Versioned: schema2.SchemaVersion,
		Config:    describe(schema2.MediaTypeImageConfig, config),
		Layers:    []distribution.Descriptor{describe(schema2.MediaTypeLayer, layer)},
	}
	if spec.OCI {
		m.Versioned = manifest.Versioned{SchemaVersion: 2, MediaType: v1.MediaTypeImageManifest}
		m.Config.MediaType = v1.MediaTypeImageConfig
		m.Layers[0].MediaType = v1.MediaTypeImageLayerGzip
	}
	body, err := json.Marshal(m)
	return body, m.MediaType, err
}

// configOf is the image configuration.
func configOf(spec ImageSpec, diffID digest.Digest) v1.Image {
	image := v1.Image{
		Platform: spec.platform(),
		Config:   v1.ImageConfig{Env: spec.Env, Labels: spec.Labels},
		RootFS:   v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}},
	}
	if !spec.Created.IsZero() {
		created := spec.Created.UTC()
		image.Created = &created
	}
	return image
}

// layerOf is a compressed layer with one file, and the digest of it uncompressed.
func layerOf(spec ImageSpec) ([]byte, digest.Digest, error) {
	var plain, packed bytes.Buffer
	t := tar.NewWriter(&plain)
	header := &tar.Header{Name: "content", Mode: 0o644, Size: int64(len(spec.Content)), Format: tar.FormatPAX}
	if err := t.WriteHeader(header); err != nil {
		return nil, "", err
	}
	if _, err := io.WriteString(t, spec.Content); err != nil {
		return nil, "", err
	}
	if err := t.Close(); err != nil {
		return nil, "", err
	}
	z, err := gzip.NewWriterLevel(&packed, cmp.Or(spec.Level, gzip.DefaultCompression))
	if err != nil {
		return nil, "", err
	}
	if _, err := z.Write(plain.Bytes()); err != nil {
		return nil, "", err
	}
	err = z.Close()
	return packed.Bytes(), digest.FromBytes(plain.Bytes()), err
}

func describe(mediaType string, body []byte) distribution.Descriptor {
	return distribution.Descriptor{MediaType: mediaType, Size: int64(len(body)), Digest: digest.FromBytes(body)}
}

// pushBlob uploads a blob in one piece.
func (r *Registry) pushBlob(ctx context.Context, repo string, body []byte) error {
	path := "/v2/" + repo + "/blobs/uploads/"
	response, err := r.do(ctx, repo, http.MethodPost, path, "", nil, http.StatusAccepted)
	if err != nil {
		return err
	}
	to, err := url.Parse(response.Get("Location"))
	if err != nil {
		return fmt.Errorf("reading the upload location: %w", err)
	}
	query := to.Query()
	query.Set("digest", digest.FromBytes(body).String())
	to.RawQuery = query.Encode()
	_, err = r.do(ctx, repo, http.MethodPut, to.RequestURI(), "application/octet-stream", body, http.StatusCreated)
	return err
}

// PutManifest pushes a manifest as it is, under a tag or, when tag is empty, by
// its digest, which it returns.
func (r *Registry) PutManifest(ctx context.Context, repo, tag, mediaType string, body []byte) (string, error) {
	d := digest.FromBytes(body).String()
	if tag == "" {
		tag = d
	}
	_, err := r.do(ctx, repo, http.MethodPut, "/v2/"+repo+"/manifests/"+tag, mediaType, body, http.StatusCreated)
	return d, err
}

// DeleteManifest deletes the manifest with digest dgst and every tag of it.
func (r *Registry) DeleteManifest(ctx context.Context, repo, dgst string) error {
	_, err := r.do(ctx, repo, http.MethodDelete, "/v2/"+repo+"/manifests/"+dgst, "", nil, http.StatusAccepted)
	return err
}

// do sends one request with whatever credentials this registry wants.
func (r *Registry) do(ctx context.Context, repo, method, path, mediaType string, body []byte, want int) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.URL()+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	if err := r.authorize(req, repo); err != nil {
		return nil, err
	}
	response, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("sending %s to the registry: %w", method, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return nil, fmt.Errorf("reading the answer to %s: %w", method, err)
	}
	if response.StatusCode != want {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	return response.Header, nil
}

// authorize puts the first user's credentials, or a token for everything in the
// repository, into a request.
func (r *Registry) authorize(req *http.Request, repo string) error {
	switch r.options.Auth {
	case AuthBasic:
		for name, password := range r.options.Users {
			req.SetBasicAuth(name, password)
			return nil
		}
	case AuthToken:
		signed, err := r.issuer.sign("push", []string{"repository:" + repo + ":pull,push,delete"}, time.Minute)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+signed)
	case AuthNone:
	}
	return nil
}
