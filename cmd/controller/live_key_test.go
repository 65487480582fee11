package main

import (
	"net/http/httptest"
	"strings"
	"testing"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// TestLiveValidationSaysWhoseKeyItIs: one key of each kind, and none that Rancher knows.
func TestLiveValidationSaysWhoseKeyItIs(t *testing.T) {
	sim := ranchersim.New(ranchersim.Options{Project: "dev", AccessKey: "project", SecretKey: "s"})
	t.Cleanup(sim.Close)
	sim.AddKey(ranchersim.Key{Access: "person", Secret: "s", Kind: ranchersim.AccountKey})
	sim.AddKey(ranchersim.Key{Access: "reader", Secret: "s", Kind: ranchersim.ReadOnlyKey})
	sim.AddKey(ranchersim.Key{Access: "agent", Secret: "s", Kind: ranchersim.AgentKey, Project: sim.ProjectID()})
	open := ranchersim.New(ranchersim.Options{Project: "dev"})
	t.Cleanup(open.Close)
	for _, tt := range []struct {
		sim              *ranchersim.Server
		key, level, says string
	}{
		{sim, "project", levelOK, "environment API key"},
		{sim, "person", levelWarn, "belongs to a person"},
		{sim, "reader", levelFail, "may only read"},
		{sim, "agent", levelFail, "hides Rancher secrets"},
		{sim, "nobody", levelFail, "401"},
		{open, "nobody", levelWarn, "access control is off"},
	} {
		server := httptest.NewServer(tt.sim.Handler())
		value := func(s string) func() (string, error) { return func() (string, error) { return s, nil } }
		client, err := rancher.New(rancher.Options{URL: server.URL, AccessKey: value(tt.key), SecretKey: value("s")})
		if err != nil {
			t.Fatal(err)
		}
		config := &desired.Config{Rancher: desired.Rancher{URL: server.URL}}
		got := checkKey(t.Context(), &controller.Clients{Rancher: client}, config)
		if len(got) != 1 || got[0].Level != tt.level || !strings.Contains(got[0].Message, tt.says) || got[0].Subject != server.URL {
			t.Errorf("with key %s: %+v, want %s and %q", tt.key, got, tt.level, tt.says)
		}
		client.Close()
		server.Close()
	}
}
