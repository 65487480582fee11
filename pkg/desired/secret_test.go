package desired

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecretValue(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	for text, want := range map[string]string{
		"s3cret": "s3cret", "s3cret\n": "s3cret", "s3cret\r\n": "s3cret", " s3cret \n": " s3cret ",
		strings.Repeat("x", maxSecretSize): strings.Repeat("x", maxSecretSize),
	} {
		write(t, file, text)
		if got, err := (Secret{File: file}).Value(); err != nil || got != want {
			t.Errorf("Value of %.10q = %.10q, %v, want %.10q", text, got, err, want)
		}
	}
	t.Setenv("DROVER_TEST_SECRET", "s3cret\n")
	if got, err := (Secret{Env: "DROVER_TEST_SECRET"}).Value(); err != nil || got != "s3cret" {
		t.Errorf("Value of a variable = %q, %v, want s3cret", got, err)
	}
}

func TestSecretIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	for _, want := range []string{"first", "second"} {
		write(t, file, want+"\n")
		if got, err := (Secret{File: file}).Value(); err != nil || got != want {
			t.Errorf("Value = %q, %v, want %q", got, err, want)
		}
	}
}

func TestSecretSaysWhatIsMissing(t *testing.T) {
	folder := t.TempDir()
	file := func(name, text string) Secret {
		path := filepath.Join(folder, name)
		write(t, path, text)
		return Secret{File: path}
	}
	t.Setenv("DROVER_TEST_EMPTY", "")
	for want, secret := range map[string]Secret{
		"secret env:DROVER_TEST_UNSET: the environment variable is not set": {Env: "DROVER_TEST_UNSET"},
		"secret env:DROVER_TEST_EMPTY: it is empty":                         {Env: "DROVER_TEST_EMPTY"},
		"/newline: it is empty":                                             file("newline", "\n"),
		"/lines: it has more than one line":                                 file("lines", "hunter2\nhunter2\n"),
		"/large: larger than 65536 bytes":                                   file("large", strings.Repeat("hunter2", maxSecretSize)),
		"/absent: no such file or directory":                                {File: folder + "/absent"},
		folder + ": not a regular file":                                     {File: folder},
		"reading secret none: no place is named":                            {},
	} {
		value, err := secret.Value()
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("Value = %q, %v, want an error that ends in %q", value, err, want)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
}

func TestSecretIsNeverShown(t *testing.T) {
	write(t, filepath.Join(t.TempDir(), "secret"), "hunter2")
	t.Setenv("DROVER_TEST_SECRET", "hunter2")
	s := Secret{Env: "DROVER_TEST_SECRET"}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%+v %#v", s, s), string(text)} {
		if strings.Contains(shown, "hunter2") {
			t.Errorf("shown as %s", shown)
		}
	}
	var back Secret
	if err := json.Unmarshal(text, &back); err != nil || back != s {
		t.Errorf("read back %v, %v, want %v", back, err, s)
	}
	for _, literal := range []string{`"hunter2"`, `{"hunter2":""}`, `["hunter2"]`, `{"env":["hunter2"]}`} {
		if err := json.Unmarshal([]byte(literal), &back); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a literal gives %v, want an error that does not repeat it", err)
		}
	}
}

func TestSecretFromAPipeIsRefused(t *testing.T) {
	if _, err := os.Stat("/dev/null"); err != nil {
		t.Skip("no /dev/null here")
	}
	if _, err := (Secret{File: "/dev/null"}).Value(); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("Value of a device = %v, want it refused", err)
	}
}
