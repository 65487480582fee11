package main

import (
	"fmt"
	"io"
	"strings"

	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
)

// printContainers prints what a target's containers were asked to run, and what they
// run; nothing without a look.
func printContainers(out io.Writer, v *web.View) error {
	if len(v.Containers) == 0 {
		return nil
	}
	rows := [][]string{{"CONTAINER", "HOST", "STATE", "VERSION", "ASKED FOR", "RUNS"}}
	for i := range v.Containers {
		c := &v.Containers[i]
		rows = append(rows, []string{c.Name, c.Host, stateOf(c), versionOf(c), shortReference(c.Image), runsOf(c)})
	}
	fmt.Fprintf(out, "\n%s\n", v.Target)
	return printTable(out, rows)
}

// stateOf is a container's state with its health.
func stateOf(c *web.Container) string {
	if c.Health == "" {
		return c.State
	}
	return c.State + ", " + c.Health
}

// versionOf says whether a container was made from the launch configuration in force.
func versionOf(c *web.Container) string {
	version := "old"
	if c.Current {
		version = "current"
	}
	if c.Sidekick != "" {
		version += " " + c.Sidekick
	}
	return version
}

// shortReference is an image without the registry and with a short digest.
func shortReference(image string) string {
	name := image[strings.LastIndex(image, "/")+1:]
	repository, digest, isPinned := strings.Cut(name, "@")
	if !isPinned {
		return name
	}
	return repository + "@" + web.Short(digest)
}

// runsOf is the image that Docker runs, and whether it is the one asked for.
func runsOf(c *web.Container) string {
	switch {
	case c.Runs == "":
		return "not seen yet"
	case c.AsAsked == nil:
		return web.Short(c.Runs)
	case *c.AsAsked:
		return web.Short(c.Runs) + ", as asked"
	}
	return web.Short(c.Runs) + ", NOT what was asked for"
}
