package ranchersim

import (
	"context"
	"net/http"
	"reflect"
)

// put merges the given fields into a resource.
func (s *Server) put(q *request, rec *record) (object, *apiError) {
	switch {
	case rec.service != nil:
		return s.putService(q, rec.service)
	case rec.stack != nil:
		in, err := s.validator(q.view).object(schemas["stack"], q.body, forUpdate)
		if err != nil {
			return nil, err
		}
		merge(rec.stack.fields, in)
		if name := text(in["name"]); name != "" {
			rec.stack.name = name
		}
		s.bus.touch(kindStack, rec.stack.id)
	case rec.host != nil:
		if labels, ok := q.body["labels"].(map[string]any); ok {
			rec.host.labels = labels
		}
		s.bus.touch(kindHost, rec.host.id)
	case rec.secret != nil:
		rec.secret.description = q.body["description"]
		s.bus.touch(kindSecret, rec.secret.id)
	}
	return rec.render(), nil
}

func merge(fields, in map[string]any) {
	for k, v := range in {
		fields[k] = v
	}
}

// schedulesUpdate are the fields whose change runs service.update (scheduleUpdate in Cattle's service.json).
var schedulesUpdate = []string{
	"name", "scale", "scalePolicy", "metadata", "retainIp", "selectorLink", "selectorContainer", "lbConfig", "launchConfig",
}

// putService changes a service. There is no version to compare: the last writer wins.
func (s *Server) putService(q *request, svc *service) (object, *apiError) {
	in, err := s.validator(q.view).object(schemas[svc.kind], q.body, forUpdate)
	if err != nil {
		return nil, err
	}
	changed := s.changedFields(q.view, svc, in)
	if err := s.checkPut(svc, changed); err != nil {
		return nil, err
	}
	s.applyPut(svc, changed)
	s.touchService(svc)
	for _, name := range schedulesUpdate {
		if _, ok := changed[name]; ok {
			s.scheduleUpdate(svc, changed)
			break
		}
	}
	return q.view.service(svc), nil
}

// changedFields leaves out what the service has already.
func (s *Server) changedFields(v view, svc *service, in map[string]any) map[string]any {
	changed := map[string]any{}
	for name, value := range in {
		have := any(svc.name)
		switch name {
		case "name":
		case "scale":
			if number(value, svc.scale) == svc.scale {
				continue
			}
		default:
			have = v.serviceField(svc, name)
		}
		if !reflect.DeepEqual(have, value) {
			changed[name] = value
		}
	}
	return changed
}

// checkPut refuses a change in states that are busy with something update cannot join: 409.
func (s *Server) checkPut(svc *service, changed map[string]any) *apiError {
	if name := text(changed["name"]); name != "" && s.nameTaken(svc.stack, name) {
		return invalid("NotUnique", "name")
	}
	if rules, ok := changed["lbConfig"]; ok && svc.kind == "loadBalancerService" {
		if err := checkRules(rules); err != nil {
			return err
		}
	}
	switch svc.state {
	case stateRegistering, stateDeactivating, stateRestarting, stateRemoving, stateRemoved, stateRequested:
		for _, name := range schedulesUpdate {
			if _, ok := changed[name]; ok {
				return conflict()
			}
		}
	}
	return nil
}

func (s *Server) applyPut(svc *service, changed map[string]any) {
	for name, value := range changed {
		switch name {
		case "name":
			svc.name = text(value)
		case "scale":
			svc.scale = number(value, svc.scale)
		case "launchConfig":
			// Only a load balancer's may be changed this way, and only its ports take effect.
			if config, ok := value.(map[string]any); ok && svc.launchConfig != nil {
				svc.launchConfig = cloneMap(svc.launchConfig)
				svc.launchConfig["ports"] = config["ports"]
			}
		}
		svc.fields[name] = value
	}
}

// scheduleUpdate runs service.update where the state allows it. While a rollout is under way a new scale makes the
// update win the lock some time later and end the rollout as if it were done; a running server was seen to do so
// after 20 s for scale, and not at all for metadata. In upgraded the value is only stored.
func (s *Server) scheduleUpdate(svc *service, changed map[string]any) {
	switch svc.state {
	case stateInactive, stateActive, stateUpdatingActive, stateActivating:
		s.schedule(svc, "update")
	case stateUpgrading, stateCanceling, stateRollingBack, stateFinishing:
		svc.transError, svc.transMessage = false, "" // A process was scheduled; what the other one said is gone.
		if _, ok := changed["scale"]; ok {
			s.overtake(svc)
		}
	}
}

// overtake lets an update take a rollout over later, in whatever transitioning state it then is.
func (s *Server) overtake(svc *service) {
	before := svc.process
	s.spawn(func(ctx context.Context) {
		s.sleep(ctx, updateRace)
		s.mu.Lock()
		defer s.mu.Unlock()
		if ctx.Err() == nil && svc.process == before && before != nil && hasAction(svc, "update") {
			s.schedule(svc, "update")
		}
	})
}

// remove deletes a resource.
func (s *Server) remove(q *request, rec *record) (object, *apiError) {
	switch {
	case rec.service != nil:
		if !hasAction(rec.service, "remove") {
			return nil, methodNotAllowed()
		}
		s.schedule(rec.service, "remove")
	case rec.instance != nil:
		s.removeSoon(rec.instance)
	case rec.host != nil:
		s.removeHost(rec.host)
	case rec.stack != nil:
		s.removeServices(rec.stack)
		s.removeStack(rec.stack)
	case rec.secret != nil:
		rec.secret.state, rec.secret.removed = stateRemoved, s.now()
		s.bus.touch(kindSecret, rec.secret.id)
	default:
		return nil, plainError(http.StatusMethodNotAllowed)
	}
	return rec.render(), nil
}

func (s *Server) removeServices(st *stack) {
	for _, id := range sortedIDs(s.services) {
		if svc := s.services[id]; svc.stack == st && hasAction(svc, "remove") {
			s.schedule(svc, "remove")
		}
	}
}

// removeStack takes a stack away in a moment. The caller holds mu.
func (s *Server) removeStack(st *stack) {
	st.state = stateRemoving
	s.bus.touch(kindStack, st.id)
	s.spawn(func(ctx context.Context) {
		s.sleep(ctx, settleTime)
		s.mu.Lock()
		defer s.mu.Unlock()
		st.state, st.removed = stateRemoved, s.now()
		s.bus.touch(kindStack, st.id)
	})
}

// removeSoon takes one container away; an active service gets another. The caller holds mu.
func (s *Server) removeSoon(i *instance) {
	i.generation++ // Whatever it is doing ends here; the state shows removing at once.
	s.setState(i, stateRemoving, "In Progress")
	s.spawn(func(ctx context.Context) {
		s.removeInstances(ctx, []*instance{i})
		s.mu.Lock()
		defer s.mu.Unlock()
		s.trigger(i.service)
	})
}

// restartSoon starts a container again when it has stopped. The caller holds mu.
func (s *Server) restartSoon(i *instance) {
	generation := i.generation
	s.spawn(func(ctx context.Context) {
		ok, err := s.waitUntil(ctx, i.service, nil, func() (bool, error) { return i.state == stateStopped, nil })
		if ok && err == nil {
			s.update1(i, generation, func() { s.launch(i) })
		}
	})
}
