package ranchersim

// v1Stack is the head of a stack in the old dialect, where it is called environment. Its links keep the new id
// (recorded).
func (v view) v1Stack(st *stack) object {
	self := v.url("environments", formatID(prefixStack, st.id))
	links := object{{"self", self}, {"account", self + "/account"}, {"services", self + "/services"}, {"composeConfig", self + "/composeconfig"}}
	actions := object{}
	for _, a := range stackActions(st.state) {
		actions.set(a, self+"/?action="+a)
	}
	return object{
		{"id", formatID(prefixV1Stack, st.id)},
		{"type", "environment"},
		{"links", links},
		{"actions", actions},
		{"baseType", "environment"},
	}
}

// v1Project renders a project in the old dialect, whose schema is frozen: it still knows four orchestrations and
// offers no action (recorded).
func (v view) v1Project(p *project) object {
	id := formatID(prefixProject, p.id)
	return object{
		{"id", id},
		{"type", "project"},
		{"links", v.projectLinks(id)},
		{"actions", object{}},
		{"baseType", "account"},
		{"name", p.name},
		{"state", p.state},
		{"created", formatDate(p.created)},
		{"createdTS", p.created.UnixMilli()},
		{"description", nil},
		{"kind", "project"},
		{"kubernetes", false},
		{"members", projectMembers()},
		{"mesos", false},
		{"publicDns", false},
		{"removed", nil},
		{"servicesPortRange", servicesPortRange()},
		{"swarm", false},
		{"transitioning", "no"},
		{"transitioningMessage", nil},
		{"transitioningProgress", nil},
		{"uuid", p.uuid},
		{"virtualMachine", false},
	}
}

func projectMembers() []any {
	return []any{map[string]any{"type": "projectMember", "externalId": "1a7", "externalIdType": "rancher_id", "role": "owner"}}
}

func servicesPortRange() map[string]any {
	return map[string]any{"type": "servicesPortRange", "startPort": firstRandomPort, "endPort": lastRandomPort}
}
