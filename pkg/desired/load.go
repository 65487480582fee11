package desired

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"

	"sigs.k8s.io/yaml"
)

// Load reads targets.yaml. An error is of type Errors and holds everything that
// is wrong with the file.
func Load(path string) (*Config, error) {
	name := filepath.Base(path)
	data, err := readRegular(path, maxFileSize)
	if err != nil {
		return nil, Errors{{File: path, Message: fmt.Sprintf("cannot be read: %v", err)}}
	}
	return Parse(name, data)
}

// Parse reads the text of a targets.yaml; name is for the messages. The result
// is complete: defaults merged and filled, every relation checked.
func Parse(name string, data []byte) (*Config, error) {
	complaints := newComplaints(name)
	tree := parseTree(data, complaints)
	if tree == nil {
		return nil, complaints.err()
	}
	c := newChecker(complaints)
	if !c.checkStruct(tree, tree.line, "", reflect.TypeFor[Config]()) {
		return nil, complaints.err()
	}
	config, err := decode(data, tree, len(complaints.list) == 0)
	if err != nil {
		// The tree was found right, so the two YAML parsers disagree. What the
		// decoder says may repeat the file, secrets and all.
		complaints.add(0, "", "cannot be decoded; is something in it quoted in an unusual way?")
		return nil, complaints.err()
	}
	config.Targets = slices.Clone(config.Targets) // Decoding leaves room for more of them.
	setDefaults(config)
	c.relate(config)
	if err := complaints.err(); err != nil {
		return nil, err
	}
	share(config.Targets)
	return config, nil
}

// decode reads the values. A file with mistakes is decoded without its wrong
// parts, to find the other mistakes; the result of that is never used.
func decode(data []byte, tree *node, isRight bool) (*Config, error) {
	var config Config
	if isRight {
		return &config, yaml.UnmarshalStrict(data, &config)
	}
	var rest bytes.Buffer
	tree.json(&rest)
	return &config, json.Unmarshal(rest.Bytes(), &config)
}
