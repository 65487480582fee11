package ranchersim

import (
	"net/http"
	"slices"
)

// act runs an action on a resource. Order of the checks: the type has it (InvalidAction), the state offers it
// (ActionNotAvailable), then the body (ValidationHandler). The caller holds mu.
func (s *Server) act(q *request, sch *schema, rec *record, action string) (int, object, *apiError) {
	if _, ok := sch.ResourceActions[action]; !ok || !q.view.caller.may(sch.ID, action) {
		return 0, nil, invalid("InvalidAction", "action")
	}
	switch {
	case rec.service != nil && sch.isService():
		return s.actOnService(q, sch, rec.service, action)
	case rec.instance != nil && sch.ID != "serviceExposeMap":
		return s.actOnContainer(q, rec.instance, action)
	case rec.host != nil:
		return s.actOnHost(q, rec.host, action)
	case rec.stack != nil:
		return s.actOnStack(q, rec.stack, action)
	}
	return 0, nil, invalid("ActionNotAvailable", "action")
}

func (s *Server) actOnService(q *request, sch *schema, svc *service, action string) (int, object, *apiError) {
	isSecond := action == "upgrade" && svc.state == stateUpgrading && s.faults.draw(about(svc), FaultTwoUpgrades) != nil
	if !isSecond && !slices.Contains(serviceActions(svc.state), action) {
		return 0, nil, invalid("ActionNotAvailable", "action")
	}
	if isSecond {
		s.forgetUpgrade(svc)
	}
	status := http.StatusAccepted
	var err *apiError
	switch action {
	case "upgrade":
		err = s.postUpgrade(q, svc)
	case "rollback":
		s.restoreConfigs(sch, svc)
		s.schedule(svc, action)
	case "restart":
		err = s.postRestart(q, svc)
	case "addservicelink", "removeservicelink", "setservicelinks":
		status = http.StatusOK // A handler, not a process.
		err = s.changeLinks(q, svc, action)
	default:
		s.schedule(svc, action)
	}
	if err != nil {
		return 0, nil, err
	}
	return status, q.view.service(svc), nil
}

// forgetUpgrade has the service look as it did to two requests that came at the same moment: the later one replaces
// what the first had not read either, so that the previous configuration stays the true original (recorded).
func (s *Server) forgetUpgrade(svc *service) {
	upgrade := svc.pending
	if upgrade == nil {
		upgrade = svc.upgrade
	}
	strategy, _ := upgrade["inServiceStrategy"].(map[string]any)
	svc.goBack(strategy)
}

// restoreConfigs puts the previous configurations back, old version and all. The filter that does this is registered
// for the type in the URL: through /loadbalancerservices it does not run, and the new configuration stays although
// the old containers come back (ServiceRollbackValidationFilter; recorded).
func (s *Server) restoreConfigs(sch *schema, svc *service) {
	if svc.pending != nil {
		svc.upgrade, svc.pending = svc.pending, nil
	}
	strategy, _ := svc.upgrade["inServiceStrategy"].(map[string]any)
	if sch.ID == "loadBalancerService" || strategy == nil || s.faults.draw(about(svc), FaultWrongRollback) != nil {
		return
	}
	svc.goBack(strategy)
}

// goBack puts the configurations back that a strategy replaced.
func (svc *service) goBack(strategy map[string]any) {
	if previous, ok := strategy["previousLaunchConfig"]; ok {
		svc.launchConfig, _ = previous.(map[string]any)
	}
	if list, ok := strategy["previousSecondaryLaunchConfigs"].([]any); ok {
		svc.secondaries = asConfigs(list)
	}
}

func asConfigs(list []any) []map[string]any {
	configs := make([]map[string]any, 0, len(list))
	for _, item := range list {
		if c, ok := item.(map[string]any); ok {
			configs = append(configs, c)
		}
	}
	return configs
}

func asList(configs []map[string]any) []any {
	list := make([]any, len(configs))
	for n, c := range configs {
		list[n] = c
	}
	return list
}

func (s *Server) postRestart(q *request, svc *service) *apiError {
	in, err := s.validator(q.view).object(schemas["serviceRestart"], q.body, forCreate)
	if err != nil {
		return err
	}
	s.schedule(svc, "restart").input = in
	return nil
}

// validator is the one for a caller.
func (s *Server) validator(v view) *validator {
	return &validator{hides: v.caller.hidden(), reference: func(kind, id string) bool {
		sch := schemas[kind]
		if sch == nil {
			return true
		}
		rec := s.record(v, sch, id)
		if rec != nil {
			return !rec.removed
		}
		return !simulated(sch) && looksLikeID(id)
	}}
}

// simulated tells whether records of a type exist here at all; references to others cannot be checked.
func simulated(sch *schema) bool {
	switch sch.ID {
	case "container", "instance", "stack", "host", "secret", "project", "account":
		return true
	}
	return sch.isService()
}

func looksLikeID(id string) bool {
	_, ok := parseID(id)
	return ok
}

func (s *Server) actOnContainer(q *request, i *instance, action string) (int, object, *apiError) {
	if !slices.Contains(containerActions(i.state), action) {
		return 0, nil, invalid("ActionNotAvailable", "action")
	}
	switch action {
	case "logs":
		return s.postLogs(q, i)
	case "stop":
		s.halt(i)
		s.trigger(i.service)
	case "start":
		s.launch(i)
	case "restart":
		s.halt(i)
		s.restartSoon(i)
	case "remove":
		s.removeSoon(i)
	case "update":
	default:
		return 0, nil, &apiError{status: http.StatusNotImplemented, code: "HostApiProxyDisabled", message: "HostApiProxyDisabled"}
	}
	return http.StatusAccepted, q.view.container(i), nil
}

func (s *Server) actOnHost(q *request, h *host, action string) (int, object, *apiError) {
	if !slices.Contains(hostActions(h.state), action) {
		return 0, nil, invalid("ActionNotAvailable", "action")
	}
	switch action {
	case "deactivate":
		s.setHostState(h, stateInactive)
	case "activate":
		s.setHostState(h, stateActive)
	case "delete", "remove":
		s.removeHost(h)
	}
	return http.StatusAccepted, q.view.host(h), nil
}

func (s *Server) actOnStack(q *request, st *stack, action string) (int, object, *apiError) {
	if !slices.Contains(stackActions(st.state), action) {
		return 0, nil, invalid("ActionNotAvailable", "action")
	}
	name := map[string]string{"activateservices": "activate", "deactivateservices": "deactivate", "remove": "remove"}[action]
	for _, id := range sortedIDs(s.services) {
		if svc := s.services[id]; name != "" && svc.stack == st && hasAction(svc, name) {
			s.schedule(svc, name)
		}
	}
	if action == "remove" {
		s.removeStack(st)
	}
	return http.StatusAccepted, q.view.stack(st), nil
}
