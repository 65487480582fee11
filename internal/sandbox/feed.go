package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// client asks the world's own parts; it keeps no connections, so it leaves none behind.
var client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// startBalancer starts the load balancer and the goroutine that keeps its servers those of the service.
func (w *World) startBalancer(ctx context.Context) (err error) {
	w.info.StatsUser, w.info.StatsPassword = statsUser, word64(uint64(w.options.Seed), 4, 20)
	o := BalancerOptions{
		Addr: w.options.BalancerAddr, User: w.info.StatsUser, Password: w.info.StatsPassword, Check: w.check(),
		StatsIn: w.options.StatsIn,
	}
	if w.options.HAProxy {
		w.balancer, err = NewHAProxy(ctx, o)
	} else {
		w.balancer, err = NewBalancer(o)
	}
	if err != nil {
		return err
	}
	w.onClose(func() error {
		w.feeding.Wait() // A closed load balancer must not be reloaded.
		return w.balancer.Close()
	})
	w.info.LoadBalancer = "http://" + w.balancer.Addr()
	w.info.Stats = "http://" + w.balancer.StatsAddr() + StatsURI
	w.rancher.OnContainersChanged(w.wake)
	w.feeding.Go(w.feed)
	w.wake()
	return nil
}

// wake tells that a container changed; it never blocks.
func (w *World) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// feed hands the service's containers to the load balancer whenever they changed, several changes at a time.
func (w *World) feed() {
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-w.changed:
		}
		if !wait(w.ctx, reloadDelay) {
			return
		}
		if err := w.balancer.SetServers(w.ctx, w.servers()); err != nil && w.ctx.Err() == nil {
			w.note(err)
		}
	}
}

// note keeps the first problem for Close to tell.
func (w *World) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.problem == nil {
		w.problem = err
	}
}

// servers are the service's containers as Rancher's load balancer takes them: those that start, run or stop, whatever
// their health and whether an upgrade replaces them (lb-controller controller/rancher/rancher.go:750-767).
func (w *World) servers() []Server {
	var list []Server
	for _, c := range w.rancher.Containers() {
		isOurs := c.Stack == Stack && c.Service == Service && c.Config == "" && c.IP != ""
		if isOurs && isServing(c) {
			list = append(list, Server{IP: c.IP, Port: defaultPort})
		}
	}
	return list
}

func isServing(c ranchersim.Container) bool {
	return c.State == "starting" || c.State == "running" || c.State == "stopping"
}

// awaitHealthy waits until the service is active, its containers are healthy and the load balancer's page shows them.
func (w *World) awaitHealthy(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := w.readService(ctx)
		if err == nil && s.State == "active" && s.HealthState == "healthy" && w.isBalanced(ctx) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for service %s (%s, %s): %w", Service, s.State, s.HealthState, context.Cause(ctx))
		}
	}
}

// serviceView is the part of a service that the start waits for.
type serviceView struct {
	State       string `json:"state"`
	HealthState string `json:"healthState"`
}

// readService asks Rancher as any client does.
func (w *World) readService(ctx context.Context) (serviceView, error) {
	path := fmt.Sprintf("%s/v2-beta/projects/%s/services?name=%s", w.info.Rancher, w.info.Environment, url.QueryEscape(Service))
	var list struct{ Data []serviceView }
	if err := getJSON(ctx, path, w.info.AccessKey, w.info.SecretKey, &list); err != nil || len(list.Data) == 0 {
		return serviceView{}, err
	}
	return list.Data[0], nil
}

func getJSON(ctx context.Context, url, user, password string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.SetBasicAuth(user, password)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(v)
}

// isBalanced says that the load balancer has a server for every container.
func (w *World) isBalanced(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.info.Stats+";csv", nil)
	if err != nil {
		return false
	}
	req.SetBasicAuth(w.info.StatsUser, w.info.StatsPassword)
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	for _, s := range w.servers() {
		if !strings.Contains(string(body), ","+ServerName(s.IP)+",") {
			return false
		}
	}
	return err == nil
}
