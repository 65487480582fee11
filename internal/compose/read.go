package compose

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"
)

// File is a file's name, for messages, and its content.
type File struct {
	Name string
	Data []byte
}

// maxFile bounds a file in bytes; a stack of hundreds of services is far below.
const maxFile = 1 << 20

// Read reads a stack from its docker-compose.yml and, when there is one, its
// rancher-compose.yml.
func Read(name string, docker File, rancher *File) (*Stack, error) {
	stack := &Stack{Name: name}
	if err := readDocker(stack, docker); err != nil {
		return nil, err
	}
	if rancher != nil {
		if err := readRancher(stack, *rancher); err != nil {
			return nil, err
		}
	}
	stack.tie()
	return stack, nil
}

// readDocker lets compose-go read the file. What is not compose's but Rancher's
// is left alone: schema validation would refuse it.
func readDocker(stack *Stack, f File) error {
	root, services, err := parse(f)
	if err != nil {
		return err
	}
	project, err := load(f, root, services)
	if err != nil {
		return err
	}
	for i := 0; i+1 < len(services.Content); i += 2 {
		key, value := services.Content[i], services.Content[i+1]
		loaded, ok := project.Services[key.Value]
		if !ok {
			continue
		}
		s := Service{
			Name: key.Value, Image: loaded.Image, Build: loaded.Build != nil, Labels: loaded.Labels,
			Environment: map[string]string{}, Place: Place{f.Name, key.Line}, places: places{},
		}
		for name, v := range loaded.Environment {
			if v != nil {
				s.Environment[name] = *v
			}
		}
		for _, p := range loaded.Ports {
			s.AddPort(fmt.Sprintf("%s:%d", p.Published, p.Target))
		}
		s.note(f.Name, value)
		stack.Services = append(stack.Services, s)
	}
	return nil
}

// load runs compose-go without the parts that read other files or the
// environment.
func load(f File, root, services *yaml.Node) (project *types.Project, err error) {
	if err := checkExtends(f, services); err != nil {
		return nil, err
	}
	// Version 1 of the format has the services at the top.
	if services == root {
		root = &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: "services"}, services}}
	}
	data, err := yaml.Marshal(root)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	defer func() {
		// compose-go asserts types of what it has not validated.
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: is not a compose file: %v", f.Name, p)
		}
	}()
	details := types.ConfigDetails{ConfigFiles: []types.ConfigFile{{Filename: f.Name, Content: data}}, Environment: types.Mapping{}}
	project, err = loader.LoadWithContext(context.Background(), details, func(o *loader.Options) {
		o.SkipValidation, o.SkipConsistencyCheck, o.SkipNormalization = true, true, true
		o.SkipInterpolation, o.SkipResolveEnvironment, o.SkipInclude = true, true, true
		o.SetProjectName("stack", true)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %s", f.Name, strings.Join(strings.Fields(err.Error()), " "))
	}
	return project, nil
}

// checkExtends refuses services that are continued in another file.
func checkExtends(f File, services *yaml.Node) error {
	for i := 0; i+1 < len(services.Content); i += 2 {
		if other := child(child(services.Content[i+1], "extends"), "file"); other != nil {
			return fmt.Errorf("%s:%d: %s: extends another file, which is not read: write it out first", f.Name, other.Line, services.Content[i].Value)
		}
	}
	return nil
}

// parse reads the tree of a file, for its lines: its root and its services.
func parse(f File) (root, services *yaml.Node, err error) {
	if len(f.Data) > maxFile {
		return nil, nil, fmt.Errorf("%s: is larger than %d bytes", f.Name, maxFile)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(f.Data, &doc); err != nil {
		return nil, nil, fmt.Errorf("%s: %s%s", f.Name, strings.TrimPrefix(err.Error(), "yaml: "), templateHint(f.Data))
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, nil, fmt.Errorf("%s: is not a compose file: its top is not a mapping", f.Name)
	}
	root = doc.Content[0]
	if err := checkAliases(root, 0); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	services = child(root, "services")
	switch {
	case services == nil && child(root, "version") == nil:
		services = root
	case services == nil, services.Kind != yaml.MappingNode:
		return nil, nil, fmt.Errorf("%s: has no services", f.Name)
	}
	return root, services, nil
}

// templateHint explains why a catalog's template is no YAML.
func templateHint(data []byte) string {
	if strings.Contains(string(data), "{{") {
		return " (a template of a catalog has to be filled in first)"
	}
	return ""
}

// maxDepth is how deep a file may nest; a compose file needs about 8.
const maxDepth = 32

// errDeep refuses what would make a small file large.
var errDeep = errors.New("nests too deep, or an alias stands for what it is in")

// checkAliases refuses aliases that lead into themselves and bombs: every node
// is visited as often as it would be when written out, down to a depth and up
// to a number.
func checkAliases(n *yaml.Node, depth int) error {
	left := 200_000
	var visit func(n *yaml.Node, depth int) error
	visit = func(n *yaml.Node, depth int) error {
		if left--; depth > maxDepth || left < 0 {
			return errDeep
		}
		if n.Kind == yaml.AliasNode {
			return visit(n.Alias, depth+1)
		}
		for _, c := range n.Content {
			if err := visit(c, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return visit(n, depth)
}

// child is the value of a mapping's key; nil when there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	n = resolved(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return resolved(n.Content[i+1])
		}
	}
	return nil
}

func resolved(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// note remembers where the parts of a service stand, two levels deep.
func (s *Service) note(file string, n *yaml.Node) {
	s.noteBelow(file, "", n, 2)
}

func (s *Service) noteBelow(file, path string, n *yaml.Node, levels int) {
	n = resolved(n)
	if n == nil || levels == 0 {
		return
	}
	for i, c := range n.Content {
		name := c.Value
		switch {
		case n.Kind == yaml.SequenceNode:
			name, _, _ = strings.Cut(name, "=") // environment: [KEY=value]
		case i%2 == 1:
			continue
		}
		at := strings.TrimPrefix(path+"."+name, ".")
		s.places[at] = Place{file, c.Line}
		if n.Kind == yaml.MappingNode {
			s.noteBelow(file, at, n.Content[i+1], levels-1)
		}
	}
}
