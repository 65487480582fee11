package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
	"gitlab.gf.com.cn/clickeggs/drover/internal/sandbox"
)

const (
	// maxScale is how many containers one machine is asked to run, each a server.
	maxScale = 200
	// maxSpeed keeps the waits of Rancher longer than what a request takes.
	maxSpeed = 1000
)

// sandboxCommand keeps a whole small world up, without Drover in it.
func sandboxCommand() *cobra.Command {
	o := sandbox.Options{}
	var faults []string
	cmd := &cobra.Command{
		Use:   "sandbox",
		Short: "Run a registry, a Rancher 1.6, a service and a load balancer for other clients",
		Long: `Run a registry, a Rancher 1.6, the service gf-chat/parrot-rest on three containers
and a load balancer on loopback addresses, for other clients.

The registry takes real pushes, Rancher speaks v2-beta, and v1 for old tools, and the
load balancer shows HAProxy's statistics. Nothing is deployed by itself.

The first line on standard output is one JSON object that says where everything
is. SIGTERM or Ctrl-C ends it.

--fault has something go wrong with Rancher from when the world is up, such as
503=chance=20%,for=1m or stall=service=gf-chat/parrot-rest; the same seed gives the
same faults. At the address "admin" they are asked for and ended while it runs.
docs/sandbox.md has all of them.

How containers behave is read from the label io.drover.sandbox of the image they
run, comma-separated: serve (default), errors=20%, not-found=20%, empty=20%,
resets=20%, latency=300ms, start-delay=5s, never-healthy, unhealthy-after=10s,
flapping=3s, crash, crash-after=10s, refuse, refuse-after=10s, log=TEXT,
log-rate=100. Any tool that pushes an image with that label changes what happens.`,
		Example: `  drover sandbox --registry 127.0.0.1:5000 --rancher 127.0.0.1:8080
  drover sandbox --seed 7 --fault late=delay=2s,chance=30% --fault restart`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSandbox(cmd, o, faults) },
	}
	f := cmd.Flags()
	f.StringVar(&o.RegistryAddr, "registry", "127.0.0.1:0", "where the registry listens; port 0 picks a free one")
	f.StringVar(&o.RancherAddr, "rancher", "127.0.0.1:0", "where Rancher listens")
	f.StringVar(&o.BalancerAddr, "lb", "127.0.0.1:0", "where the load balancer listens")
	f.StringVar(&o.AdminAddr, "admin", "127.0.0.1:0", "where faults are asked for")
	f.StringArrayVar(&faults, "fault", nil, "NAME[=ARG=VALUE,…] that goes wrong; repeatable")
	f.Int64Var(&o.Seed, "seed", 0, "makes ids, timing and faults repeatable")
	f.IntVar(&o.Scale, "scale", 3, "number of containers")
	f.Float64Var(&o.Speed, "speed", 1, "how much faster than a real one's its waits pass")
	f.BoolVar(&o.HAProxy, "haproxy", false, "use the installed haproxy as the load balancer")
	return cmd
}

func runSandbox(cmd *cobra.Command, o sandbox.Options, faults []string) error {
	for _, text := range faults {
		f, err := ranchersim.ParseFault(text)
		if err != nil {
			return misusedFlag("--fault: %w", err)
		}
		o.Faults = append(o.Faults, f)
	}
	if o.Scale < 1 || o.Scale > maxScale {
		return misusedFlag("--scale %d: a number of containers from 1 to %d is wanted", o.Scale, maxScale)
	}
	if !(o.Speed > 0 && o.Speed <= maxSpeed) {
		return misusedFlag("--speed %g: a factor above 0 and up to %d is wanted", o.Speed, maxSpeed)
	}
	world, err := sandbox.Start(cmd.Context(), o)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w; port 0 picks a free one", err)
	}
	if err != nil {
		return err
	}
	if err := json.NewEncoder(cmd.OutOrStdout()).Encode(world.Info()); err != nil {
		return fmt.Errorf("saying where everything is: %w", err)
	}
	<-cmd.Context().Done()
	return ignoreCancel(world.Close())
}

// misusedFlag is a flag's value that the command cannot take.
func misusedFlag(format string, args ...any) error {
	return &exitError{code: exitUsage, cause: fmt.Errorf(format, args...)}
}

// ignoreCancel takes the end that a signal asked for as a good one.
func ignoreCancel(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
