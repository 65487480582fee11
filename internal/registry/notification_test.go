package registry

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/registry/registrytest"
)

func TestParseNotification(t *testing.T) {
	for file, want := range map[string][]Notification{
		"push-vnd_docker_distribution_manifest_v2_json":      {{"127.0.0.1:5005", "bench/img04999", "latest", "sha256:0620277690ab469de7543ff737dfde714ab4cb170ba8d71871f5f69978dcfb3c"}},
		"push-vnd_docker_distribution_manifest_list_v2_json": {{"127.0.0.1:5005", "notif/dock00001", "latest", "sha256:9aa6bbc3c45ab496e6eb2b7b2c7b81439e4e28bb40632c1a820f1d0f995fc34f"}},
		"push-vnd_oci_image_index_v1_json":                   {{"127.0.0.1:5005", "notif/oci00001", "latest", "sha256:f4e21b433c3ec94b138a1e314dd5e7b6db46bcbdbc41dc33eae866b9726cbdae"}},
		"push-vnd_oci_image_manifest_v1_json":                nil, // Pushed by digest: no tag moved.
		"push-octet-stream":                                  nil,
		"pull-vnd_docker_distribution_manifest_v2_json":      nil,
		"delete": {{"127.0.0.1:5005", "notif/dock00001", "", "sha256:9aa6bbc3c45ab496e6eb2b7b2c7b81439e4e28bb40632c1a820f1d0f995fc34f"}},
	} {
		body, err := os.ReadFile(filepath.Join("testdata", "notifications", "notification-"+file+".json"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseNotification(bytes.NewReader(body))
		if err != nil || len(got) != len(want) || len(got) == 1 && got[0] != want[0] {
			t.Errorf("ParseNotification(%s) = %v, %v, want %v", file, got, err, want)
		}
	}
}

func TestParseNotificationRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"not JSON":        "<html>",
		"too long":        `{"events":[` + strings.Repeat(" ", maxNotification) + `]}`,
		"too many events": `{"events":[` + strings.Repeat(`{},`, maxEvents) + `{}]}`,
	} {
		if got, err := ParseNotification(strings.NewReader(body)); err == nil {
			t.Errorf("ParseNotification(%s) = %v, want an error", name, got)
		}
	}
	odd := `{"events":[{"action":"push","target":{"repository":"../../etc","tag":"x"}},{"action":"push","target":{"repository":"a","tag":"b c"}}]}`
	if got, err := ParseNotification(strings.NewReader(odd)); err != nil || len(got) != 0 {
		t.Errorf("ParseNotification of names that are none = %v, %v, want none", got, err)
	}
}

func FuzzParseNotification(f *testing.F) {
	files, err := filepath.Glob("testdata/notifications/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("%d seeds, %v", len(files), err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		found, err := ParseNotification(bytes.NewReader(body))
		if err != nil && found != nil {
			t.Errorf("ParseNotification = %v beside %v", found, err)
		}
		for _, n := range found {
			if _, err := parseName("r.example/" + n.Repository + ":" + n.Tag); n.Tag != "" && err != nil {
				t.Errorf("ParseNotification gave a reference that is none: %v", err)
			}
		}
	})
}

func TestNotifyWakesWhateverTheHost(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	w.follow()
	h, e := w.watcher.find(w.ref)
	e.due = time.Now().Add(time.Hour)
	for _, c := range []struct {
		n    Notification
		want int
	}{
		{Notification{Host: "inside.example", Repository: repo, Tag: tag}, 1},
		{Notification{Repository: repo}, 1},
		{Notification{Repository: repo, Tag: "other"}, 0},
		{Notification{Repository: "other", Tag: tag}, 0},
	} {
		if got := w.watcher.Notify([]Notification{c.n}); got != c.want {
			t.Errorf("Notify(%+v) = %d, want %d", c.n, got, c.want)
		}
	}
	if next, wait := h.next(time.Now()); next != e {
		t.Errorf("the reference is due in %v, want now", wait)
	}
}
