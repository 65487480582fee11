package main

import (
	"fmt"
	"io"
	"strings"

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
)

// printContainers prints what a target's containers were asked to run, and what they
// run; nothing without a look.
func printContainers(out io.Writer, l language.Language, v *web.View) error {
	if len(v.Containers) == 0 {
		return nil
	}
	rows := [][]string{{l.Sprintf("CONTAINER"), l.Sprintf("HOST"), l.Sprintf("STATE"), l.Sprintf("VERSION"), l.Sprintf("ASKED FOR"), l.Sprintf("RUNS")}}
	for i := range v.Containers {
		c := &v.Containers[i]
		rows = append(rows, []string{c.Name, c.Host, stateOf(c), versionOf(l, c), shortReference(c.Image), runsOf(l, c)})
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
func versionOf(l language.Language, c *web.Container) string {
	version := l.Sprintf("old")
	if c.Current {
		version = l.Sprintf("current")
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
func runsOf(l language.Language, c *web.Container) string {
	switch {
	case c.Runs == "":
		return l.Sprintf("not seen yet")
	case c.AsAsked == nil:
		return web.Short(c.Runs)
	case *c.AsAsked:
		return l.Sprintf("%s, as asked", web.Short(c.Runs))
	}
	return l.Sprintf("%s, NOT what was asked for", web.Short(c.Runs))
}
