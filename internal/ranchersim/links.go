package ranchersim

// Links between services: a service names others by a name of its own, within its stack or out of it, which compose
// files call external_links. Nothing runs because of them; clients read them.

// serviceLink is one link to another service.
type serviceLink struct {
	name   string
	target *service
}

// changeLinks is one of the three link actions, which have no process (ServiceAddServiceLink, …RemoveServiceLink,
// …SetServiceLinks). The caller holds mu.
func (s *Server) changeLinks(q *request, svc *service, action string) *apiError {
	if action == "setservicelinks" {
		in, err := s.validator(q.view).object(schemas["setServiceLinksInput"], q.body, forCreate)
		if err != nil {
			return err
		}
		list, _ := in["serviceLinks"].([]any)
		svc.links = nil
		for _, item := range asConfigs(list) {
			svc.link(s.linkOf(item))
		}
		s.touchLinks(svc)
		return nil
	}
	in, err := s.validator(q.view).object(schemas["addRemoveServiceLinkInput"], q.body, forCreate)
	if err != nil {
		return err
	}
	item, _ := in["serviceLink"].(map[string]any)
	l := s.linkOf(item)
	if action == "addservicelink" {
		svc.link(l)
	} else {
		svc.unlink(l)
	}
	s.touchLinks(svc)
	return nil
}

// linkOf reads a link; without a name it is called as the service it leads to.
func (s *Server) linkOf(item map[string]any) serviceLink {
	n, _ := parseID(text(item["serviceId"]))
	l := serviceLink{name: text(item["name"]), target: s.services[n]}
	if l.name == "" && l.target != nil {
		l.name = l.target.name
	}
	return l
}

// link adds a link; one of the same name is replaced.
func (svc *service) link(l serviceLink) {
	if l.target == nil {
		return
	}
	for n := range svc.links {
		if svc.links[n].name == l.name {
			svc.links[n] = l
			return
		}
	}
	svc.links = append(svc.links, l)
}

// unlink takes the links to a service away, with a name only that one.
func (svc *service) unlink(l serviceLink) {
	kept := svc.links[:0:0]
	for _, have := range svc.links {
		if have.target != l.target || have.name != l.name {
			kept = append(kept, have)
		}
	}
	svc.links = kept
}

// touchLinks tells of a changed service and of those it leads to.
func (s *Server) touchLinks(svc *service) {
	s.touchService(svc)
	for _, l := range svc.links {
		s.touchService(l.target)
	}
}

// linkedServices is what a service leads to, by the links' names; null when that is nothing.
func (svc *service) linkedServices() any {
	if svc.kind == "loadBalancerService" {
		return svc.fields["linkedServices"]
	}
	linked := map[string]any{}
	for _, l := range svc.links {
		if l.target.removed.IsZero() {
			linked[l.name] = formatID(prefixService, l.target.id)
		}
	}
	if len(linked) == 0 {
		return nil
	}
	return linked
}

// consumed are the services that one leads to, consumers those that lead to it.
func (v view) consumed(svc *service) (list []*record) {
	for _, l := range svc.links {
		list = append(list, v.serviceRecord(l.target))
	}
	return list
}

func (v view) consumers(svc *service) []*record {
	return v.server.serviceRecords(v, func(other *service) bool {
		for _, l := range other.links {
			if l.target == svc {
				return other.removed.IsZero()
			}
		}
		return false
	})
}
