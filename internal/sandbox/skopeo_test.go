package sandbox

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layout writes an OCI image layout, as build tools leave it on disk.
type layout struct {
	t   *testing.T
	dir string
}

// newLayout makes a layout of one image that behaves so.
func newLayout(t *testing.T, behaviour string) string {
	t.Helper()
	l := layout{t, t.TempDir()}
	layer := l.blob(ocispec.MediaTypeImageLayer, emptyTar(t))
	config := l.json(ocispec.MediaTypeImageConfig, ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"},
		Config:   ocispec.ImageConfig{Labels: map[string]string{BehaviourLabel: behaviour, ocispec.AnnotationVersion: "2.0.0"}},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{layer.Digest}},
	})
	manifest := l.json(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{layer},
	})
	manifest.Annotations = map[string]string{ocispec.AnnotationRefName: "latest"}
	l.write("index.json", ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{manifest},
	})
	l.write(ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	return l.dir
}

func emptyTar(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := tar.NewWriter(&b).Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (l layout) blob(mediaType string, content []byte) ocispec.Descriptor {
	l.t.Helper()
	d := digest.FromBytes(content)
	dir := filepath.Join(l.dir, "blobs", d.Algorithm().String())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, d.Encoded()), content, 0o644); err != nil {
		l.t.Fatal(err)
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

func (l layout) json(mediaType string, v any) ocispec.Descriptor {
	l.t.Helper()
	content, err := json.Marshal(v)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.blob(mediaType, content)
}

func (l layout) write(name string, v any) {
	l.t.Helper()
	content, err := json.Marshal(v)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.dir, name), content, 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// TestSkopeoPushDecidesWhatContainersDo: an image that a foreign tool pushed behaves as its label says.
func TestSkopeoPushDecidesWhatContainersDo(t *testing.T) {
	skopeo := needs(t, "skopeo")
	s := startWorld(t, Options{Scale: 1, Speed: 10, CheckInterval: 50 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	copied := exec.CommandContext(ctx, skopeo, "--insecure-policy", "copy", "--dest-tls-verify=false",
		"oci:"+newLayout(t, "errors=100%,log=pushed by skopeo")+":latest", "docker://"+s.Info().Image)
	if out, err := copied.CombinedOutput(); err != nil {
		t.Fatalf("skopeo copy: %v\n%s", err, out)
	}
	s.upgrade(s.Info().Image)
	s.awaitState("upgraded")
	fresh := s.containers("running", true)
	s.await("only the new container is behind the load balancer", func() bool { return s.listed(fresh...) })
	if code := s.gate().sendOne(t.Context()); code != 500 {
		t.Errorf("status = %d, want 500 from the image that was pushed", code)
	}
}
