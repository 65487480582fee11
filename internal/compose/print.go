package compose

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// Print is a configuration as a person would write it: in the order of the
// documentation, what belongs together on one line.
func Print(c *desired.Config) string {
	var b strings.Builder
	b.WriteString("# config/targets.yaml\n")
	fmt.Fprintf(&b, "apiVersion: %s\n\nrancher:\n  url: %s\n", c.APIVersion, scalar(c.Rancher.URL))
	if c.Rancher.Environment != "" {
		fmt.Fprintf(&b, "  environment: %s\n", scalar(c.Rancher.Environment))
	}
	fmt.Fprintf(&b, "  accessKey: %s\n  secretKey: %s\n", flow(c.Rancher.AccessKey), flow(c.Rancher.SecretKey))
	if len(c.LoadBalancers) > 0 {
		b.WriteString("\nloadBalancers:\n")
	}
	for i := range c.LoadBalancers {
		lb := &c.LoadBalancers[i]
		fmt.Fprintf(&b, "- name: %s\n  stats: %s\n", scalar(lb.Name), scalar(lb.Stats[0]))
		if lb.Auth != nil {
			fmt.Fprintf(&b, "  auth: %s\n", flow(lb.Auth))
		}
	}
	if len(c.Targets) == 0 {
		b.WriteString("\ntargets: []\n")
		return b.String()
	}
	b.WriteString("\ntargets:\n")
	for i := range c.Targets {
		printTarget(&b, &c.Targets[i])
	}
	return b.String()
}

func printTarget(b *strings.Builder, t *desired.Target) {
	fmt.Fprintf(b, "- name: %s\n  stack: %s\n  service: %s\n  image: %s\n", scalar(t.Name), scalar(t.Stack), scalar(t.Service), scalar(t.Image))
	if len(t.Containers) > 0 {
		b.WriteString("  containers:\n")
	}
	for _, name := range slices.Sorted(maps.Keys(t.Containers)) {
		fmt.Fprintf(b, "    %s: %s\n", scalar(name), scalar(t.Containers[name]))
	}
	if rollout := flow(t.Rollout); rollout != "{}" {
		fmt.Fprintf(b, "  rollout: %s\n", rollout)
	}
	gates := fields(t.Gates)
	if len(gates) > 0 {
		b.WriteString("  gates:\n")
	}
	for _, g := range gates {
		fmt.Fprintf(b, "    %s: %s\n", g.key, flow(g.value))
	}
}

// pair is a member of a mapping, in the order of the type.
type pair struct {
	key   string
	value json.RawMessage
}

// fields are the members of a value that are set, in the order of its type.
func fields(v any) []pair {
	data, err := json.Marshal(v)
	if err != nil {
		return nil // The types of desired marshal; nothing else is handed in.
	}
	d := json.NewDecoder(strings.NewReader(string(data)))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	var all []pair
	for d.More() {
		key, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return all
		}
		all = append(all, pair{fmt.Sprint(key), value})
	}
	return all
}

// flow writes a value on one line.
func flow(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return "{}"
	}
	if len(data) == 0 || data[0] != '{' {
		var text string
		if json.Unmarshal(data, &text) == nil {
			return scalar(text)
		}
		return string(data)
	}
	var parts []string
	for _, f := range fields(json.RawMessage(data)) {
		parts = append(parts, f.key+": "+flow(f.value))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// scalar quotes a text where YAML would read something else.
func scalar(text string) string {
	isPlain := text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_-:?=%&") == "" &&
		!strings.ContainsAny(text[:1], "-?:&%=") && !strings.HasSuffix(text, ":")
	// 12:30 is a number to YAML 1.1, and so is .inf.
	isNumber := text != "" && strings.Contains("0123456789.+-", text[:1]) && strings.Trim(text, "0123456789:._-+eExXaAbBcCdDfFiInN") == ""
	if !isPlain || isNumber || isYAMLWord(text) {
		return strconv.Quote(text)
	}
	return text
}

// isYAMLWord says that YAML 1.1 reads a word as a truth value or as nothing.
func isYAMLWord(text string) bool {
	switch strings.ToLower(text) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		return true
	}
	return false
}
