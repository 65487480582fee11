package compose

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

var update = flag.Bool("update", false, "write testdata anew")

func file(t testing.TB, path string) File {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return File{Name: filepath.Base(path), Data: data}
}

func chat(t testing.TB) *Stack {
	t.Helper()
	rancher := file(t, "testdata/gf-chat/rancher-compose.yml")
	stack, err := Read("gf-chat", file(t, "testdata/gf-chat/docker-compose.yml"), &rancher)
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

func read(t *testing.T, docker, rancher string) *Stack {
	t.Helper()
	var second *File
	if rancher != "" {
		second = &File{"rancher-compose.yml", []byte(rancher)}
	}
	stack, err := Read("web", File{"docker-compose.yml", []byte(docker)}, second)
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

// golden compares with a file of testdata; -update writes it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n%s\nwant\n%s", path, got, want)
	}
}

// TestChat holds a whole stack to its targets.yaml, its notes and its problems,
// and those to be free of what is secret in it.
func TestChat(t *testing.T) {
	stack := chat(t)
	config, notes := Targets([]*Stack{stack}, TargetOptions{RancherURL: "http://rancher.example:8080", Environment: "dev"})
	text := Print(config)
	golden(t, "testdata/gf-chat/targets.yaml", text)
	if _, err := desired.Parse("targets.yaml", []byte(text)); err != nil {
		t.Errorf("the printed configuration is not valid: %v", err)
	}
	var b strings.Builder
	for _, n := range Sorted(notes) {
		fmt.Fprintln(&b, n)
	}
	golden(t, "testdata/gf-chat/notes.txt", b.String())
	var p strings.Builder
	for _, problem := range Lint(stack) {
		fmt.Fprintln(&p, problem.Level, problem.Rule, problem.Note)
	}
	golden(t, "testdata/gf-chat/problems.txt", p.String())
	for what, printed := range map[string]string{"targets.yaml": text, "notes": b.String(), "problems": p.String()} {
		if strings.Contains(printed, "planted") {
			t.Errorf("%s shows a secret:\n%s", what, printed)
		}
	}
}

// TestEveryRuleIsBrokenAndKept gives each rule a stack that breaks it and one that
// keeps it.
func TestEveryRuleIsBrokenAndKept(t *testing.T) {
	const docker = "version: '2'\nservices:\n  api:\n    image: r.example/api:1\n"
	const healthy = "version: '2'\nservices:\n  api:\n    scale: 2\n    health_check: {port: 80}\n"
	const lb = "version: '2'\nservices:\n  api:\n    health_check: {port: 80}\n    lb_config:\n      config: |\n        listen stats\n          bind :9000\n          stats uri /s\n"
	for rule, c := range map[string]struct{ brokenDocker, brokenRancher, keptDocker, keptRancher string }{
		"no-health-check":        {docker, "", docker, healthy},
		"plain-secret":           {docker + "    environment: {DB_PASSWORD: x}\n", healthy, docker + "    environment: {DB_PASSWORD: '${X}', PASSWORD_FILE: /f, TOKEN: /run/t, MONKEY: x, URL: 'http://a:$P@h/'}\n", healthy},
		"stats-without-auth":     {docker, lb, docker, lb + "          stats auth a:b\n"},
		"start-first-impossible": {docker, healthy + "    retain_ip: true\n    upgrade_strategy: {start_first: true}\n", docker, healthy + "    upgrade_strategy: {start_first: true}\n"},
		"host-port":              {docker + "    ports: ['8080:80']\n", healthy, docker + "    ports: ['80']\n", healthy},
		"floating-tag":           {strings.Replace(docker, ":1\n", ":latest\n", 1), healthy, docker, healthy},
		"whole-batch":            {docker, healthy + "    upgrade_strategy: {batch_size: 2}\n", docker, healthy + "    upgrade_strategy: {batch_size: 1}\n"},
		"long-interval":          {docker, healthy + "    upgrade_strategy: {interval_millis: 30001}\n", docker, healthy + "    upgrade_strategy: {interval_millis: 30000}\n"},
		"no-recreate":            {docker, strings.Replace(healthy, "{port: 80}", "{port: 80, strategy: none}", 1), docker, healthy},
	} {
		if got := broken(read(t, c.brokenDocker, c.brokenRancher)); got != rule {
			t.Errorf("a stack that breaks %s breaks %q", rule, got)
		}
		if got := broken(read(t, c.keptDocker, c.keptRancher)); got != "" {
			t.Errorf("a stack that keeps %s breaks %q", rule, got)
		}
	}
	tried := 9
	if len(Rules) != tried {
		t.Errorf("%d rules, %d of them tried", len(Rules), tried)
	}
}

func broken(s *Stack) string {
	var rules []string
	for _, p := range Lint(s) {
		rules = append(rules, p.Rule)
	}
	return strings.Join(rules, " ")
}

// TestStatsPages are the four places in which people put the page
// (load-balancer-and-logs 1.5), and what they leave out.
func TestStatsPages(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		want   []statsPage
	}{
		"defaults":    {"global\n stats socket x\ndefaults\n mode http\n stats enable\n stats uri /admin?stats\n stats auth admin:secret\n", []statsPage{{"/admin?stats", 0, "admin", true}}},
		"backend":     {"backend 18080_\n stats enable\n stats uri /admin?stats\n stats auth admin:secret\n", []statsPage{{"/admin?stats", 18080, "admin", true}}},
		"frontend":    {"frontend 18080\n stats uri /admin?stats\n stats auth admin:secret\n", []statsPage{{"/admin?stats", 18080, "admin", true}}},
		"listen":      {"listen stats\n bind 127.0.0.1:19000\n stats enable\n", []statsPage{{"/haproxy?stats", 19000, "", false}}},
		"two":         {"listen a\n bind :1\n stats uri /a\nlisten b\n bind *:2\n stats uri /b\n", []statsPage{{"/a", 1, "", false}, {"/b", 2, "", false}}},
		"none":        {"defaults\n timeout connect 5s\n", nil},
		"commented":   {"defaults\n # stats uri /admin\n", nil},
		"socket only": {"global\n stats socket /x level admin\n stats timeout 30s\n", nil},
	} {
		if got := statsPages(c.config); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: statsPages() = %v, want %v", name, got, c.want)
		}
	}
}

func TestImages(t *testing.T) {
	for image, want := range map[string]string{
		"r.example/a:1":      "r.example/a:1",
		"r.example/a":        "r.example/a:latest",
		"r.example/a:${TAG}": "",
		"r.example/a@sha256:" + strings.Repeat("0", 64):   "",
		"r.example/a:1@sha256:" + strings.Repeat("0", 64): "",
		"rancher/none":                       "",
		"rancher/lb-service-haproxy:v0.9.14": "",
		"R.EXAMPLE/UPPER:1":                  "",
		"":                                   "",
	} {
		s := Service{Image: image}
		got, why := followed(&s)
		if got != want || (why == "") != (want != "") {
			t.Errorf("followed(%q) = %q, %q, want %q", image, got, why, want)
		}
	}
	if _, why := followed(&Service{Build: true}); !strings.Contains(why, "built by the compose file") {
		t.Errorf("a built image is refused because %q", why)
	}
}

func TestVersionOneAndExtends(t *testing.T) {
	stack := read(t, "web:\n  image: r.example/web:1\n  environment:\n  - A=b\napi:\n  extends: {service: web}\n", "web:\n  health_check:\n    port: 80\n")
	if len(stack.Services) != 2 || stack.Services[0].Image != "r.example/web:1" || stack.find("web").Health == nil {
		t.Errorf("Services = %+v", stack.Services)
	}
	if at := stack.find("web").At("environment.A"); at != (Place{"docker-compose.yml", 4}) {
		t.Errorf("At(environment.A) = %v, want line 4", at)
	}
	if at := stack.find("web").At("environment.B"); at != (Place{"docker-compose.yml", 3}) {
		t.Errorf("At(environment.B) = %v, want the line of environment", at)
	}
	if at := stack.find("api").At("image"); at != (Place{"docker-compose.yml", 5}) {
		t.Errorf("At(image) of a service without one = %v, want its own line", at)
	}
}

func TestSidekicks(t *testing.T) {
	stack := read(t, "services:\n  a:\n    image: r.example/a:1\n    labels: {io.rancher.sidekicks: 'b, gone,a'}\n  b:\n    image: r.example/b:1\n", "")
	if got := stack.Sidekicks("a"); len(got) != 1 || got[0].Name != "b" || stack.find("a").SidekickOf != "" {
		t.Errorf("Sidekicks(a) = %+v", got)
	}
	config, _ := Targets([]*Stack{stack}, TargetOptions{})
	if len(config.Targets) != 1 || config.Targets[0].Containers["b"] != "r.example/b:1" {
		t.Errorf("Targets = %+v", config.Targets)
	}
}

// TestNamesOfTwoStacks: targets must be named apart, and a rule may lead into
// another stack.
func TestNamesOfTwoStacks(t *testing.T) {
	a, b := read(t, "services:\n  api: {image: 'r.example/a:1'}\n", ""), read(t, "services:\n  api: {image: 'r.example/a:1'}\n  lb: {image: rancher/lb}\n",
		"services:\n  lb:\n    lb_config:\n      config: \"defaults\\n stats uri /s\\n\"\n      port_rules: [{source_port: 81, service: first/api}, {selector: 'x=y'}]\n")
	a.Name, b.Name = "first", "second"
	config, notes := Targets([]*Stack{a, b}, TargetOptions{BalancerHost: "lb.example"})
	if len(config.Targets) != 2 || config.Targets[0].Name != "api" || config.Targets[1].Name != "second-api" {
		t.Fatalf("Targets = %+v", config.Targets)
	}
	if g := config.Targets[0].Gates.LoadBalancer; g == nil || g.Name != "lb" || config.Targets[1].Gates.LoadBalancer != nil {
		t.Errorf("gates = %+v and %+v", config.Targets[0].Gates, config.Targets[1].Gates)
	}
	if got := config.LoadBalancers[0].Stats[0]; got != "http://lb.example:81/s" {
		t.Errorf("Stats = %s", got)
	}
	if !strings.Contains(fmt.Sprint(notes), "selects services by label (x=y)") {
		t.Errorf("notes = %v", notes)
	}
}

func TestHealthGates(t *testing.T) {
	for line, want := range map[string]string{
		`GET /healthz HTTP/1.0`:     "http: {port: 80, path: /healthz}",
		`GET "/healthz" "HTTP/1.0"`: "http: {port: 80, path: /healthz}",
		``:                          "tcp: {port: 80}",
		`OPTIONS / HTTP/1.0`:        "",
	} {
		stack := &Stack{Name: "s", Services: []Service{{Name: "a", Image: "r.example/a:1", Health: &HealthCheck{Port: 80, RequestLine: line, Initializing: time.Minute}}}}
		config, _ := Targets([]*Stack{stack}, TargetOptions{})
		text := Print(config)
		if want != "" && !strings.Contains(text, want) || want == "" && strings.Contains(text, "gates:") {
			t.Errorf("a check %q makes\n%s\nwant %q", line, text, want)
		}
	}
}

func TestWrongFiles(t *testing.T) {
	for docker, want := range map[string]string{
		"":                                "its top is not a mapping",
		"- a":                             "its top is not a mapping",
		"a: [1":                           "docker-compose.yml: ",
		"version: '2'\n":                  "has no services",
		"version: '2'\nservices: [a]":     "has no services",
		"a: {{ .Values.x }}\nb: {{ end }": "a template of a catalog",
		"services:\n  a:\n    image: [1]": "docker-compose.yml: ",
		"services:\n  a:\n    image: x\n    extends: {file: other.yml, service: a}": "docker-compose.yml:4: a: extends another file",
		"a: &a [*a]": "nests too deep",
		"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n": "nests too deep",
		strings.Repeat("#", maxFile+1): "larger than",
	} {
		_, err := Read("s", File{"docker-compose.yml", []byte(docker)}, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Read(%.40q) = %v, want %q", docker, err, want)
		}
	}
	second := File{"rancher-compose.yml", []byte("services:\n  a:\n    scale: many\n")}
	if _, err := Read("s", File{"d", []byte("services:\n  a: {image: x}\n")}, &second); err == nil || err.Error() != "rancher-compose.yml:3: a: scale: must be a whole number" {
		t.Errorf("a wrong scale is %v", err)
	}
}

// FuzzRead: whatever the files hold, what is printed is one configuration that
// names the same services.
func FuzzRead(f *testing.F) {
	f.Add(file(f, "testdata/gf-chat/docker-compose.yml").Data, file(f, "testdata/gf-chat/rancher-compose.yml").Data)
	f.Add([]byte("web:\n  image: nginx\n"), []byte("web:\n  scale: 2\n"))
	f.Add([]byte("services:\n  a: {image: 'r/a:1', labels: [io.rancher.sidekicks=b], ports: [1-2:3-4]}\n"), []byte("a: 1"))
	f.Fuzz(func(t *testing.T, docker, rancher []byte) {
		stack, err := Read("s", File{"d", docker}, &File{"r", rancher})
		if err != nil {
			return
		}
		Lint(stack)
		config, _ := Targets([]*Stack{stack}, TargetOptions{})
		parsed, err := desired.Parse("t", []byte(Print(config)))
		if err != nil {
			return // Names that Rancher does not take: import says so.
		}
		for i := range config.Targets {
			if parsed.Targets[i].Image != config.Targets[i].Image {
				t.Errorf("printed and read again the image is %q, want %q", parsed.Targets[i].Image, config.Targets[i].Image)
			}
		}
	})
}
