package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/distribution/manifest/manifestlist"
	"github.com/docker/distribution/manifest/schema2"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// maxManifest and maxConfig bound what a registry may answer; 4 MiB is the registry's own bound for manifests.
	maxManifest = 4 << 20
	maxConfig   = 4 << 20
	// maxImages is how many image configurations are remembered.
	maxImages = 512
	// pullTimeout bounds a pull.
	pullTimeout = 30 * time.Second
)

// manifestTypes are what a Docker engine asks for.
var manifestTypes = []string{
	schema2.MediaTypeManifest, manifestlist.MediaTypeManifestList, ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex,
}

// image is the part of an image configuration that a container needs.
type image struct {
	// id is the configuration's digest.
	id digest.Digest
	// behaviour is what the label says; badLabel is why it could not be read.
	behaviour Behaviour
	badLabel  error
	// ports are the exposed TCP ports, ascending.
	ports []int
	// version and revision are the labels of the image specification.
	version, revision string
}

// images fetches image configurations from registries on this machine and remembers them.
type images struct {
	client *http.Client
	mu     sync.Mutex
	known  map[digest.Digest]*image
	order  []digest.Digest
}

func newImages() *images {
	dialer := &net.Dialer{Timeout: 5 * time.Second, Control: onlyLoopback}
	return &images{
		known: map[digest.Digest]*image{},
		client: &http.Client{
			Timeout:   pullTimeout,
			Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Second},
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return errors.New("a redirect is not followed")
			},
		},
	}
}

// onlyLoopback refuses to connect to anything but this machine, whatever a name resolves to.
func onlyLoopback(_, address string, _ syscall.RawConn) error {
	return checkLoopback(address)
}

// checkLoopback refuses an address that other machines could reach.
func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("address %q: write it as 127.0.0.1:5000", address)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("address %q is not a loopback address, such as 127.0.0.1:5000", address)
	}
	return nil
}

// pull fetches the configuration of an image by tag or digest. Errors read as Docker's do.
func (s *images) pull(ctx context.Context, name string) (*image, error) {
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return nil, daemonError("invalid reference format: %v", err)
	}
	ref = reference.TagNameOnly(ref)
	manifest, err := s.manifest(ctx, ref)
	if err != nil {
		return nil, err
	}
	return s.config(ctx, ref, manifest.Config)
}

// daemonError words an error as the agent hands on Docker's (recording real-04).
func daemonError(format string, args ...any) error {
	return fmt.Errorf("Error response from daemon: "+format, args...) //nolint:staticcheck // Docker's own words.
}

// anyManifest is what manifests and indexes of both kinds have in common.
type anyManifest struct {
	Config    ocispec.Descriptor   `json:"config"`
	Manifests []ocispec.Descriptor `json:"manifests"`
}

// manifest fetches what a reference names, and the platform's one when that is an index.
func (s *images) manifest(ctx context.Context, ref reference.Named) (anyManifest, error) {
	m, err := s.fetchManifest(ctx, ref, wanted(ref))
	if err != nil || len(m.Manifests) == 0 {
		return m, err
	}
	i := slices.IndexFunc(m.Manifests, func(d ocispec.Descriptor) bool {
		return d.Platform != nil && d.Platform.OS == "linux" && d.Platform.Architecture == "amd64"
	})
	if i < 0 {
		return m, daemonError("no matching manifest for linux/amd64 in the manifest list entries")
	}
	m, err = s.fetchManifest(ctx, ref, m.Manifests[i].Digest.String())
	if err == nil && len(m.Manifests) > 0 {
		err = daemonError("%s: an index within an index", reference.FamiliarString(ref))
	}
	return m, err
}

// wanted is the digest a reference pins, else its tag.
func wanted(ref reference.Named) string {
	if pinned, ok := ref.(reference.Digested); ok {
		return pinned.Digest().String()
	}
	return ref.(reference.Tagged).Tag() // TagNameOnly has added one.
}

func (s *images) fetchManifest(ctx context.Context, ref reference.Named, version string) (anyManifest, error) {
	var m anyManifest
	body, err := s.get(ctx, ref, "manifests/"+version, maxManifest)
	if err != nil {
		return m, err
	}
	if err := verify(version, body); err != nil {
		return m, daemonError("manifest of %s: %v", reference.FamiliarString(ref), err)
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, daemonError("manifest of %s: %v", reference.FamiliarString(ref), err)
	}
	return m, nil
}

// verify compares bytes with the digest they were asked by; a tag promises nothing.
func verify(version string, body []byte) error {
	d, err := digest.Parse(version)
	if err != nil {
		return nil //nolint:nilerr // A tag.
	}
	if got := d.Algorithm().FromBytes(body); got != d {
		return fmt.Errorf("content is %s, not %s", got, d)
	}
	return nil
}

func (s *images) config(ctx context.Context, ref reference.Named, d ocispec.Descriptor) (*image, error) {
	if img, ok := s.byID(d.Digest); ok {
		return img, nil
	}
	if err := d.Digest.Validate(); err != nil {
		return nil, daemonError("%s has no image configuration", reference.FamiliarString(ref))
	}
	body, err := s.get(ctx, ref, "blobs/"+d.Digest.String(), maxConfig)
	if err != nil {
		return nil, err
	}
	if err := verify(d.Digest.String(), body); err != nil {
		return nil, daemonError("configuration of %s: %v", reference.FamiliarString(ref), err)
	}
	img, err := parseImage(d.Digest, body)
	if err != nil {
		return nil, daemonError("configuration of %s: %v", reference.FamiliarString(ref), err)
	}
	s.remember(img)
	return img, nil
}

// parseImage reads an image configuration. A label nobody understands is no error here: Docker pulls such an image, and
// its containers fail to start.
func parseImage(id digest.Digest, body []byte) (*image, error) {
	var c ocispec.Image
	if err := json.Unmarshal(body, &c); err != nil {
		return nil, err
	}
	labels := c.Config.Labels
	img := &image{id: id, version: labels[ocispec.AnnotationVersion], revision: labels[ocispec.AnnotationRevision]}
	img.behaviour, img.badLabel = ParseBehaviour(labels[BehaviourLabel])
	for port := range c.Config.ExposedPorts {
		number, protocol, _ := strings.Cut(port, "/")
		if n, err := strconv.Atoi(number); err == nil && protocol != "udp" && n > 0 && n < 1<<16 {
			img.ports = append(img.ports, n)
		}
	}
	slices.Sort(img.ports)
	return img, nil
}

func (s *images) byID(id digest.Digest) (*image, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	img, ok := s.known[id]
	return img, ok
}

func (s *images) remember(img *image) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.known[img.id]; ok {
		return
	}
	if len(s.order) == maxImages {
		delete(s.known, s.order[0])
		s.order = s.order[1:]
	}
	s.known[img.id] = img
	s.order = append(s.order, img.id)
}

// get reads one thing of a repository over plain HTTP.
func (s *images) get(ctx context.Context, ref reference.Named, thing string, most int64) ([]byte, error) {
	url := "http://" + reference.Domain(ref) + "/v2/" + reference.Path(ref) + "/" + thing
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, daemonError("%v", err)
	}
	req.Header["Accept"] = manifestTypes
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, daemonError("%w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	switch {
	case err != nil:
		return nil, daemonError("%s: %w", url, err)
	case int64(len(body)) > most:
		return nil, daemonError("%s: the answer is longer than %d bytes", url, most)
	case resp.StatusCode == http.StatusNotFound:
		return nil, daemonError("manifest for %s not found%s", reference.FamiliarString(ref), registryWords(body))
	case resp.StatusCode != http.StatusOK:
		return nil, daemonError("received unexpected HTTP status: %s", resp.Status)
	}
	return body, nil
}

// registryWords is a registry's first error as Docker appends it: ": manifest unknown: manifest unknown".
func registryWords(body []byte) string {
	var answer struct {
		Errors []struct{ Code, Message string } `json:"errors"`
	}
	if json.Unmarshal(body, &answer) != nil || len(answer.Errors) == 0 {
		return ""
	}
	first := answer.Errors[0]
	code := strings.ToLower(strings.ReplaceAll(first.Code, "_", " "))
	return cut(": "+code+": "+first.Message, 300)
}
