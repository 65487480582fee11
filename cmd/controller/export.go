package main

import (
	"strings"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/compose"
	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

func exportStacks(cmd *cobra.Command, o *options, names []string, host string) error {
	server, _, err := o.whereRancher(cmd)
	if err != nil {
		return err
	}
	client, err := controller.ConnectRancher(server, newLogger(o, cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	defer client.Close()
	described, err := client.Describe(cmd.Context(), names...)
	if err != nil {
		return err
	}
	return printTargets(cmd, stacksOf(described), compose.TargetOptions{
		RancherURL: server.URL, Environment: server.Environment, BalancerHost: host,
	})
}

// stacksOf is what runs as compose files would say it. The descriptions are
// sorted by stack.
func stacksOf(described []rancher.Description) []*compose.Stack {
	var stacks []*compose.Stack
	for i := range described {
		d := &described[i]
		if len(stacks) == 0 || stacks[len(stacks)-1].Name != d.Stack {
			stacks = append(stacks, &compose.Stack{Name: d.Stack})
		}
		last := stacks[len(stacks)-1]
		last.Services = append(last.Services, servicesOf(d)...)
	}
	return stacks
}

// servicesOf is a service and its sidekicks.
func servicesOf(d *rancher.Description) []compose.Service {
	s := compose.Service{
		Name: d.Name, Image: followedImage(d.Image, d.Labels), Labels: d.Labels, Scale: d.Scale, RetainIP: d.RetainIP,
		Place: compose.Place{File: d.Stack},
	}
	for _, port := range d.Ports {
		s.AddPort(port)
	}
	if h := d.Health; h != nil {
		s.Health = &compose.HealthCheck{Port: h.Port, RequestLine: h.RequestLine, Initializing: h.Initializing, Strategy: h.Strategy}
	}
	if b := d.Balancer; b != nil {
		s.Balancer = &compose.Balancer{Config: b.Config}
		for _, r := range b.Rules {
			s.Balancer.Rules = append(s.Balancer.Rules, compose.PortRule(r))
		}
	}
	all := []compose.Service{s}
	for _, side := range d.Sidekicks {
		all = append(all, compose.Service{
			Name: side.Name, Image: side.Image, Labels: side.Labels, SidekickOf: d.Name, Place: compose.Place{File: d.Stack},
		})
	}
	return all
}

// followedImage is the tag behind an image that Drover has pinned.
func followedImage(image string, labels map[string]string) string {
	if tag := labels[reconcile.LabelImage]; tag != "" && strings.Contains(image, "@") {
		return tag
	}
	return image
}
