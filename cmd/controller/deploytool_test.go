package main

import (
	"bytes"
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"gitlab.gf.com.cn/clickeggs/drover/internal/deploytool"
	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// deployEnvironment is what a pipeline has; empty variables count as none.
func deployEnvironment(t *testing.T, url string) {
	t.Helper()
	for name, value := range map[string]string{
		"RANCHER_URL": url, "RANCHER_ACCESS_KEY": "key", "RANCHER_SECRET_KEY": "secret",
		"CI_PROJECT_NAMESPACE": "gf-chat", "CI_PROJECT_NAME": "parrot-rest",
		"RANCHER_LABEL_SEPARATOR": "", "REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": "", "DROVER_LOG_LEVEL": "nonsense",
	} {
		t.Setenv(name, value)
	}
}

// TestDeployOptions reads command lines as the tool does.
func TestDeployOptions(t *testing.T) {
	deployEnvironment(t, "http://rancher.example")
	for line, change := range map[string]func(*deploytool.Options){
		"": func(*deploytool.Options) {},
		"--rancher-url http://other --stack s --service=t": func(o *deploytool.Options) {
			o.URL, o.Stack, o.Service = "http://other", "s", "t"
		},
		"--label a b --label=c d --label e f=g": func(o *deploytool.Options) {
			o.Label = []deploytool.Pair{{Key: "a", Value: "b"}, {Key: "c", Value: "d"}, {Key: "e", Value: "f=g"}}
		},
		"--label --stack --create --stack --label": func(o *deploytool.Options) {
			o.Label, o.Stack = []deploytool.Pair{{Key: "--stack", Value: "--create"}}, "--label"
		},
		"--create --no-create --create":       func(o *deploytool.Options) { o.Create = true },
		"--no-finish-upgrade":                 func(o *deploytool.Options) { o.Finish = false },
		"--no-wait-for-upgrade-to-finish":     func(o *deploytool.Options) { o.Wait = false },
		"--batch-size 1_0 --batch-interval 0": func(o *deploytool.Options) { o.BatchSize, o.BatchInterval = 10, 0 },
		"--secret a --secret b,c":             func(o *deploytool.Options) { o.SecretNames = []string{"a", "b,c"} },
		"--rollback-on timeout,error":         func(o *deploytool.Options) { o.RollbackOn = []string{"timeout", "error"} },
		"finish --environment dev":            func(o *deploytool.Options) { o.Verb, o.Environment = deploytool.Finish, "dev" },
		"--environment dev -- rollback":       func(o *deploytool.Options) { o.Verb, o.Environment = deploytool.Rollback, "dev" },
	} {
		want := deploytool.Default()
		want.URL, want.Key, want.Secret, want.Stack, want.Service = "http://rancher.example", "key", "secret", "gf-chat", "parrot-rest"
		change(&want)
		d := &deploy{Options: deploytool.Default()}
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		d.define(f)
		if _, err := d.parse(f, strings.Fields(line)); err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		if !reflect.DeepEqual(d.Options, want) {
			t.Errorf("%q: %+v, want %+v", line, d.Options, want)
		}
	}
}

// TestDeployUsage exits 2 with the reason on standard error, and asks Rancher nothing.
func TestDeployUsage(t *testing.T) {
	for line, want := range map[string]string{
		"--nosuch": "--nosuch", "--label a": "2 arguments", "--new-image": "requires an argument", "--batch-size two": "whole number",
		"destroy": "destroy", "finish now": "now", "--gate soon": "soon", "--rollback-on boredom": "boredom",
		"--config x": "config", "--digest latest": "latest", "--deadline 5": "5",
	} {
		deployEnvironment(t, "http://127.0.0.1:1")
		var out, errOut bytes.Buffer
		code := runDeployTool(t.Context(), strings.Fields(line), &out, &errOut)
		if code != exitUsage || !strings.Contains(errOut.String(), want) || out.Len() > 0 {
			t.Errorf("%q: exit %d, %q, %q; want exit 2 and %q on standard error", line, code, out.String(), errOut.String(), want)
		}
	}
	for _, missing := range []string{"RANCHER_URL", "RANCHER_ACCESS_KEY", "RANCHER_SECRET_KEY", "CI_PROJECT_NAMESPACE", "CI_PROJECT_NAME"} {
		deployEnvironment(t, "http://127.0.0.1:1")
		t.Setenv(missing, "")
		var errOut bytes.Buffer
		if code := runDeployTool(t.Context(), nil, io.Discard, &errOut); code != exitUsage || !strings.Contains(errOut.String(), missing) {
			t.Errorf("without %s: exit %d, %q", missing, code, errOut.String())
		}
	}
}

// TestDeployNames says by which names the program is the tool.
func TestDeployNames(t *testing.T) {
	for name, want := range map[string]bool{
		"drover": false, "/usr/local/bin/upgrade": true, "rancher-gitlab-deploy": true, "./rancher-gitlab-deploy.exe": true, "upgrades": false,
	} {
		if got := isDeployTool(name); got != want {
			t.Errorf("isDeployTool(%q) = %t, want %t", name, got, want)
		}
	}
}

// TestDeployCertificates trusts the bundle of the environment, and nothing when told so.
func TestDeployCertificates(t *testing.T) {
	rancher := ranchersim.New(ranchersim.Options{Project: "dev", AccessKey: "key", SecretKey: "secret"})
	defer rancher.Close()
	server := httptest.NewUnstartedServer(rancher.Handler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // Handshakes fail on purpose.
	server.StartTLS()
	defer server.Close()
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(bundle, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ variable, path, args, want string }{
		"unknown":             {"", "", "", "certificate"},
		"bundle":              {"REQUESTS_CA_BUNDLE", bundle, "", "Unable to find a stack"},
		"the other bundle":    {"CURL_CA_BUNDLE", bundle, "", "Unable to find a stack"},
		"no check":            {"", "", "--no-ssl-verify", "Unable to find a stack"},
		"no check, no bundle": {"REQUESTS_CA_BUNDLE", "/nonexistent", "--no-ssl-verify", "Unable to find a stack"},
		"no bundle":           {"REQUESTS_CA_BUNDLE", "/nonexistent", "", "/nonexistent"},
	} {
		deployEnvironment(t, server.URL)
		if c.variable != "" {
			t.Setenv(c.variable, c.path)
		}
		var out bytes.Buffer
		if code := runDeployTool(t.Context(), strings.Fields(c.args), &out, io.Discard); code != exitFailed || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: exit %d, %q; want %q", name, code, out.String(), c.want)
		}
	}
}
