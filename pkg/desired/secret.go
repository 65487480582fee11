package desired

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
)

// Secret says where a secret is found; it never holds the secret itself.
type Secret struct {
	// Env is the name of an environment variable.
	Env string `json:"env,omitempty" is:"env"`
	// File is a path; one trailing newline is trimmed, and the file is read again
	// when it changes.
	File string `json:"file,omitempty"`
}

// maxSecretSize is far above any password or key.
const maxSecretSize = 64 << 10

// IsZero says that no place is named.
func (s Secret) IsZero() bool { return s.Env == "" && s.File == "" }

// String names the place, never the secret.
func (s Secret) String() string {
	switch {
	case s.Env != "":
		return "env:" + s.Env
	case s.File != "":
		return "file:" + s.File
	}
	return "none"
}

// UnmarshalJSON refuses a literal without repeating it.
func (s *Secret) UnmarshalJSON(b []byte) error {
	type places Secret
	var p places
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return errors.New("a secret may not be written out: name its place, {env: NAME} or {file: PATH}")
	}
	*s = Secret(p)
	return nil
}

// Value reads the secret. A file is read each time, so that a rotated secret is
// used at once; it is small, and read once per request to a server at most.
func (s Secret) Value() (string, error) {
	raw, err := s.read()
	if err != nil {
		return "", fmt.Errorf("reading secret %s: %w", s, err)
	}
	raw = bytes.TrimSuffix(raw, []byte("\n"))
	raw = bytes.TrimSuffix(raw, []byte("\r"))
	switch {
	case len(raw) == 0:
		return "", fmt.Errorf("reading secret %s: it is empty", s)
	case bytes.ContainsAny(raw, "\r\n\x00"):
		return "", fmt.Errorf("reading secret %s: it has more than one line", s)
	}
	return string(raw), nil
}

func (s Secret) read() ([]byte, error) {
	switch {
	case s.Env != "":
		v, ok := os.LookupEnv(s.Env)
		if !ok {
			return nil, errors.New("the environment variable is not set")
		}
		return []byte(v), nil
	case s.File != "":
		return readRegular(s.File, maxSecretSize)
	}
	return nil, errors.New("no place is named")
}

// readRegular reads a file of bounded size, in full.
func readRegular(path string, most int64) ([]byte, error) {
	var data bytes.Buffer
	if err := copyRegular(&data, path, most); err != nil {
		return nil, err
	}
	return data.Bytes(), nil
}

// copyRegular reads a file of bounded size. A pipe or a device would block or
// never end, so only regular files are read, symbolic links followed. The size
// and time of the file must be the same before and after, or a writer was at
// work in between.
func copyRegular(to io.Writer, path string, most int64) error {
	before, err := os.Stat(path)
	if err != nil {
		return cause(err)
	}
	if !before.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return cause(err)
	}
	defer f.Close() //nolint:errcheck // Nothing was written.
	n, err := io.Copy(to, io.LimitReader(f, most+1))
	if err != nil {
		return cause(err)
	}
	if n > most {
		return fmt.Errorf("larger than %d bytes", most)
	}
	after, err := f.Stat()
	if err != nil {
		return cause(err)
	}
	if after.ModTime() != before.ModTime() || after.Size() != n {
		return errors.New("changed while it was read")
	}
	return nil
}

// cause drops the path that the messages of package os repeat.
func cause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// Secrets are all places of secrets that the configuration names.
func (c *Config) Secrets() []Secret {
	var places []Secret
	listSecrets(reflect.ValueOf(c).Elem(), &places)
	return places
}

func listSecrets(v reflect.Value, places *[]Secret) {
	switch {
	case v.Type() == secretType:
		if s := v.Interface().(Secret); !s.IsZero() {
			*places = append(*places, s)
		}
	case v.Kind() == reflect.Pointer && !v.IsNil():
		listSecrets(v.Elem(), places)
	case v.Kind() == reflect.Struct:
		for f := range fieldsOf(v.Type()) {
			listSecrets(v.FieldByIndex(f.Index), places)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			listSecrets(v.Index(i), places)
		}
	case v.Kind() == reflect.Map:
		for _, value := range v.Seq2() {
			listSecrets(value, places)
		}
	}
}
