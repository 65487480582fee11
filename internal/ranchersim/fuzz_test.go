package ranchersim

import (
	"net/http"
	"testing"
)

func FuzzRequest(f *testing.F) {
	f.Add("POST", "/services/1s1/?action=upgrade", `{"inServiceStrategy":{"batchSize":1e99,"launchConfig":{"ports":["1:2:3:4/x"]}}}`)
	f.Add("PUT", "/services/1s1", `{"scale":-0.5,"metadata":{"a":[{}]},"publicEndpoints":[null,1]}`)
	f.Add("GET", "/services?limit=99999999999999999999&marker=m-1&sort=id&name_like=%25(%25", "")
	f.Add("POST", "/services", `{"name":"x","stackId":"1st1","launchConfig":{"secrets":[{"secretId":5}],"healthCheck":[]},"secondaryLaunchConfigs":{"name":1}}`)
	f.Add("POST", "/loadbalancerservices", `{"lbConfig":{"portRules":[[],{"serviceId":[]}]}}`)
	f.Fuzz(func(t *testing.T, method, path, body string) {
		r, err := http.NewRequest(method, "http://rancher.example"+path, nil)
		if err != nil || r.URL.Host != "rancher.example" || len(path) == 0 || path[0] != '/' {
			t.Skip()
		}
		s := New(Options{Speed: 1e6})
		defer s.Close()
		s.AddHost("host1.example", "192.0.2.1")
		stackID, serr := s.CreateStack("shop")
		if serr != nil {
			t.Fatal(serr)
		}
		if _, serr = s.CreateService(ServiceSpec{StackID: stackID, Name: "web", Scale: 1, LaunchConfig: []byte(`{"imageUuid":"docker:a"}`)}); serr != nil {
			t.Fatal(serr)
		}
		c := &client{t: t, server: s}
		if rec := c.raw(method, "/v2-beta"+path, body); rec.Code >= 500 && rec.Code != http.StatusNotImplemented {
			t.Errorf("%s %s %s = %d", method, path, body, rec.Code)
		}
	})
}

func FuzzParsePort(f *testing.F) {
	for _, s := range []string{"80", "8080:80/tcp", "1.2.3.4:8080:80/udp", "99999:80", ":", "/tcp", "-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePort(s)
		if err != nil {
			return
		}
		again, err := parsePort(p.String())
		if err != nil || again != p {
			t.Errorf("parsePort(%q) = %+v, written %q and read %+v %v", s, p, p, again, err)
		}
	})
}
