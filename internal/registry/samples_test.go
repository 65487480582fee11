package registry

import (
	"bytes"
	"cmp"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// sample is one recorded exchange with a real registry.
type sample struct {
	method, path, etag string
	status             int
	header             http.Header
	body               []byte
}

// readSample reads "> request", "< answer" and the body below its length.
func readSample(t *testing.T, path string) sample {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := sample{header: http.Header{}}
	for {
		line, rest, more := bytes.Cut(text, []byte("\n"))
		s.line(strings.TrimRight(string(line), "\r"))
		if text = rest; !more || bytes.HasPrefix(line, []byte("--- body")) {
			s.body = rest
			return s
		}
	}
}

func (s *sample) line(line string) {
	key, value, _ := strings.Cut(strings.TrimLeft(line, "<> "), ": ")
	words := strings.Fields(line)
	switch {
	case strings.HasPrefix(line, "> ") && s.method == "" && len(words) > 2:
		s.method, s.path = words[1], words[2]
	case strings.HasPrefix(line, "< HTTP/"):
		s.status, _ = strconv.Atoi(words[2])
	case strings.HasPrefix(line, "< ") && value != "":
		s.header.Add(key, value)
	case strings.HasPrefix(line, "> If-None-Match"):
		s.etag = strings.Trim(value, `"`)
	}
}

// ServeHTTP answers as the registry did.
func (s *sample) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	for key, values := range s.header {
		w.Header()[key] = values
	}
	w.WriteHeader(s.status)
	_, _ = w.Write(s.body)
}

// sampleWants is what the client makes of the samples that it could be answered,
// by the number they begin with: a digest's beginning or the cause of a problem.
var sampleWants = map[string]string{
	"02": "sha256:8c6926e7", "03": "sha256:8c6926e7", "04": "sha256:60091262", "05": "sha256:60091262",
	"06": "sha256:ab0a98c7", "07": "sha256:ab0a98c7", "08": "sha256:8c6926e7", "09": "sha256:8c6926e7",
	"10": "sha256:8c6926e7", "13": "sha256:8c6926e7", "14": "sha256:8c6926e7",
	"15": "not-found", "16": "not-found", "17": "not-found", "17b": "not-found", "19": "not-found",
	"21": "invalid", "21b": "invalid", "22": "not-found", "22b": "not-found", "22c": "not-found", "22d": "invalid",
	"31": "auth", "31b": "auth", "32": "sha256:8c6926e7", "33": "auth",
	"35": "unusable", "35b": "unusable", "36": "unusable",
	"39": "not-found",
	// The answers of distribution 3, which has no schema 1 and ignores Accept.
	"v3/21": "sha256:8c6926e7", "v3/21b": "sha256:8c6926e7", "v3/22": "sha256:60091262",
	"v3/22b": "sha256:60091262", "v3/22c": "sha256:60091262", "v3/22d": "invalid",
}

// TestSamples replays every recorded answer about a manifest. 35 and 36 are
// unusable because their token service is on another port.
func TestSamples(t *testing.T) {
	replayed := 0
	for edition, pattern := range map[string]string{"": "testdata/samples/*.txt", "v3/": "testdata/samples/distribution-v3.1.2/*.txt"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("Glob(%q) = %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			number, _, _ := strings.Cut(filepath.Base(file), "-")
			want := cmp.Or(sampleWants[edition+number], sampleWants[number])
			s := readSample(t, file)
			if want == "" || !strings.Contains(s.path, "/manifests/") {
				continue
			}
			replayed++
			if got := s.replay(t); !strings.HasPrefix(got, want) {
				t.Errorf("%s = %s, want %s", file, got, want)
			}
		}
	}
	if replayed < 60 {
		t.Errorf("%d samples replayed, want at least 60", replayed)
	}
}

// replay asks the sample as it was asked and says what the client makes of it.
func (s *sample) replay(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(s)
	defer server.Close()
	config := desired.Registry{Host: strings.TrimPrefix(server.URL, "http://"), PlainHTTP: true}
	c := newClient(config, Options{}.withDefaults())
	defer c.close()
	repository, what, _ := strings.Cut(strings.TrimPrefix(s.path, "/v2/"), "/manifests/")
	n := name{config.Host, strings.ToLower(repository), what}
	var d digest.Digest
	var err error
	if s.method == http.MethodHead {
		d, err = c.head(t.Context(), n, digest.Digest(s.etag))
	} else {
		d, err = c.hashTag(t.Context(), n, digest.Digest(s.etag))
	}
	if err != nil {
		return string(problemOf(err).Cause)
	}
	return d.String()
}

// TestSampleErrorCode keeps the registry's own words.
func TestSampleErrorCode(t *testing.T) {
	s := readSample(t, "testdata/samples/15-404-unknown-tag-get.txt")
	e := statusError(s.status, s.header, s.body)
	if e.Code != "MANIFEST_UNKNOWN" || e.Message != "manifest unknown" || e.cause() != observe.CauseNotFound {
		t.Errorf("statusError = %+v, want MANIFEST_UNKNOWN and not-found", e)
	}
}
