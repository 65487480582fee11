package check

import (
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/gitlab"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Spec is a check as it is configured: one of Webhook, Command and Pipeline.
type Spec struct {
	Name string
	// Timeout is from the start to the verdict, Every between two looks at a check
	// that has none.
	Timeout, Every time.Duration
	Webhook        *Webhook
	Command        *Command
	Pipeline       *Pipeline
}

// Secret reads a secret; it is asked for when it is needed.
type Secret func() (string, error)

// Webhook is an address that is sent the rollout's JSON.
type Webhook struct {
	URL string
	// Token may be nil.
	Token Secret
}

// Command is a program that reads the rollout's JSON.
type Command struct {
	Run []string
	Env map[string]Secret
}

// Pipeline is a pipeline of a GitLab project.
type Pipeline struct {
	Client       *gitlab.Client
	Project, Ref string
	Variables    map[string]string
}

// outcome is what one step found.
type outcome struct {
	state   observe.CheckState
	problem *observe.Problem
	ref     string
	url     string
	detail  string
	// after is when to look again; 0 leaves it to the spec.
	after time.Duration
}

// variables are what a check is told where it takes names and values.
func variables(about observe.CheckSubject) map[string]string {
	return map[string]string{
		"DROVER_CHECK": about.Check, "DROVER_ROLLOUT": about.Rollout, "DROVER_TARGET": about.Target, "DROVER_STACK": about.Stack,
		"DROVER_SERVICE": about.Service, "DROVER_IMAGE": about.Image, "DROVER_TAG": about.Tag, "DROVER_FROM": about.From,
		"DROVER_DIGEST": about.To, "DROVER_REVISION": about.Revision,
	}
}

// maxDetail bounds what a check says.
const maxDetail = 512

// oneLine is a text without control characters, cut to maxDetail.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxDetail {
		text = strings.ToValidUTF8(text[:maxDetail], "")
	}
	return text
}
