package operator

import (
	"slices"
	"strings"

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Subject is a service as a person named it.
type Subject struct {
	Stack, Service string
	// Name and Image are the target's; empty when nobody targets the service.
	Name, Image string
	// Target is the file's; nil when the file is not here or does not name it.
	Target *desired.Target
}

// Key is stack/service.
func (s Subject) Key() string { return s.Stack + "/" + s.Service }

// NotFoundError is a name that means no service.
type NotFoundError struct {
	Name string
	// Known are the names that there are.
	Known []string
}

// Error says what was looked for, and what there is.
func (e *NotFoundError) Error() string { return e.In(language.English) }

// In is the error in a language.
func (e *NotFoundError) In(l language.Language) string {
	const shown = 8
	switch n := len(e.Known); {
	case n == 0:
		return l.Sprintf("no target %q; a service that nobody targets is named stack/service", e.Name)
	case n > shown:
		return l.Sprintf("no target %q; there are %s and %d more, and any stack/service", e.Name, strings.Join(e.Known[:shown], ", "), n-shown)
	}
	return l.Sprintf("no target %q; there are %s, and any stack/service", e.Name, strings.Join(e.Known, ", "))
}

// Resolve finds what a name means: a target of the file, of the daemon, or any
// stack/service. The config may be nil.
func Resolve(config *desired.Config, views []web.View, name string) (Subject, error) {
	if config != nil {
		if t, ok := config.Target(name); ok {
			return ofTarget(t), nil
		}
	}
	for i := range views {
		if v := &views[i]; strings.EqualFold(v.Name, name) || strings.EqualFold(v.Target, name) {
			stack, service, _ := strings.Cut(v.Target, "/")
			return Subject{Stack: stack, Service: service, Name: v.Name, Image: v.Image}, nil
		}
	}
	if stack, service, ok := strings.Cut(name, "/"); ok && isName(stack) && isName(service) {
		return Subject{Stack: stack, Service: service}, nil
	}
	return Subject{}, &NotFoundError{Name: name, Known: known(config, views)}
}

func ofTarget(t desired.Target) Subject {
	return Subject{Stack: t.Stack, Service: t.Service, Name: t.Name, Image: t.Image, Target: &t}
}

// isName follows Rancher's rule for names of stacks and services.
func isName(s string) bool {
	return s != "" && len(s) <= 63 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
	})
}

// known are the names that file and daemon have.
func known(config *desired.Config, views []web.View) []string {
	var names []string
	if config != nil {
		for i := range config.Targets {
			names = append(names, config.Targets[i].Name)
		}
	}
	for i := range views {
		if name := views[i].Name; name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// ByImage are the targets that follow an image, with any tag when it names none.
func ByImage(config *desired.Config, views []web.View, image string) []Subject {
	var found []Subject
	add := func(s Subject) {
		if !slices.ContainsFunc(found, func(f Subject) bool { return f.Key() == s.Key() }) {
			found = append(found, s)
		}
	}
	if config != nil {
		for _, t := range config.Targets {
			if SameImage(t.Image, image) {
				add(ofTarget(t))
			}
		}
	}
	for i := range views {
		if v := &views[i]; SameImage(v.Image, image) {
			stack, service, _ := strings.Cut(v.Target, "/")
			add(Subject{Stack: stack, Service: service, Name: v.Name, Image: v.Image})
		}
	}
	return found
}

// Running are the services that run an image, or were brought up from it.
func Running(services []observe.Service, image string) []Subject {
	var found []Subject
	for i := range services {
		s := &services[i]
		if SameImage(FollowedTag(s), image) || DigestOf(s.Launch.Image) != "" && SameImage(s.Launch.Image, image) {
			found = append(found, Subject{Stack: s.Stack, Service: s.Name})
		}
	}
	return found
}

// SameImage says that an image is the one a person named: the same repository,
// and the same tag when they named one.
func SameImage(image, named string) bool {
	if image == "" {
		return false
	}
	repository, tag := splitImage(image)
	wantRepository, wantTag := splitImage(named)
	return repository == wantRepository && (wantTag == "" || tag == wantTag)
}

// splitImage is an image without its digest, and its tag.
func splitImage(image string) (repository, tag string) {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndexByte(image, ':'); colon > strings.LastIndexByte(image, '/') {
		return image[:colon], image[colon+1:]
	}
	return image, ""
}

// DigestOf is the digest an image is pinned to; empty for a bare tag.
func DigestOf(image string) string {
	_, digest, _ := strings.Cut(image, "@")
	return digest
}

// ShortImage is an image as people read it: its name and tag, or the first digits
// of its digest.
func ShortImage(image string) string {
	if digest := DigestOf(image); digest != "" {
		return web.Short(digest)
	}
	return image[strings.LastIndexByte(image, '/')+1:]
}
