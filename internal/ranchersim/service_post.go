package ranchersim

import (
	"encoding/json"
	"strings"
)

// postService creates a service of any kind.
func (s *Server) postService(q *request, sch *schema) (object, *apiError) {
	in, err := s.validator(q.view).object(sch, q.body, forCreate)
	if err != nil {
		return nil, err
	}
	svc, err := s.newService(q.view.caller.project, sch, in)
	if err != nil {
		return nil, err
	}
	return q.view.service(svc), nil
}

// newService checks what the schema cannot and records the service. The caller holds mu.
func (s *Server) newService(p *project, sch *schema, in map[string]any) (*service, *apiError) {
	n, _ := parseID(text(in["stackId"]))
	st := s.stacks[n]
	if st == nil || st.project != p || !st.removed.IsZero() {
		return nil, &apiError{status: 422, code: "InvalidState", field: "stackId", message: "stack is not in a valid state"}
	}
	config, _ := in["launchConfig"].(map[string]any)
	list, _ := in["secondaryLaunchConfigs"].([]any)
	if err := checkNew(sch, in, config, asConfigs(list)); err != nil {
		return nil, err
	}
	if s.nameTaken(st, text(in["name"])) {
		return nil, invalid("NotUnique", "name")
	}
	if config != nil && sch.ID == "loadBalancerService" {
		completeBalancer(config)
	}
	svc := &service{
		id: s.next(prefixService), kind: sch.ID, project: p, stack: st, name: text(in["name"]), uuid: s.uuid(),
		created: s.now(), system: st.system, fields: in, healthState: healthHealthy, healthNext: healthHealthy, scale: number(in["scale"], 1),
		currentScale: -1, launchConfig: config, state: stateRequested,
		lock: make(chan struct{}, 1), changed: make(chan struct{}),
	}
	if len(list) > 0 {
		svc.secondaries = asConfigs(list)
	}
	s.services[svc.id] = svc
	s.bus.touch(kindStack, st.id)
	s.schedule(svc, "create")
	return svc, nil
}

// checkNew is ServiceValidationFilter's look at a new service: an image unless it only selects containers.
func checkNew(sch *schema, in, config map[string]any, secondaries []map[string]any) *apiError {
	if sch.ID == "loadBalancerService" {
		if err := checkRules(in["lbConfig"]); err != nil {
			return err
		}
	}
	if config != nil && config["imageUuid"] == nil && text(in["selectorContainer"]) == "" {
		return invalid("InvalidOption", "Image is required when selectorContainer is not passed in")
	}
	if err := checkConfig(config); err != nil {
		return err
	}
	for _, c := range secondaries {
		if err := checkConfig(c); err != nil {
			return err
		}
	}
	return nil
}

// checkRules checks a load balancer's rules: a service or a selector, not both, and a target port with a service.
func checkRules(lb any) *apiError {
	config, _ := lb.(map[string]any)
	rules, _ := config["portRules"].([]any)
	for _, rule := range asConfigs(rules) {
		hasService, hasSelector := rule["serviceId"] != nil, rule["selector"] != nil
		switch {
		case hasService && hasSelector:
			return invalid("InvalidOption", "Can not specify both selector and serviceId")
		case hasService && rule["targetPort"] == nil:
			return invalid("MissingRequired", "targetPort")
		case rule["region"] != nil && rule["environment"] == nil:
			return invalid("MissingRequired", "environment")
		case !hasService && !hasSelector && rule["region"] == nil:
			return invalid("MissingRequired", "serviceId")
		case number(rule["sourcePort"], 0) == 42:
			return invalid("InvalidOption", "sourcePort")
		}
	}
	return nil
}

// nameTaken compares with the names of services and sidekicks of a stack, whatever their case.
func (s *Server) nameTaken(st *stack, name string) bool {
	for _, svc := range s.services {
		if svc.stack != st || !svc.removed.IsZero() {
			continue
		}
		if strings.EqualFold(svc.name, name) {
			return true
		}
		for _, c := range svc.secondaries {
			if strings.EqualFold(text(c["name"]), name) {
				return true
			}
		}
	}
	return false
}

// completeBalancer injects what Cattle adds to a load balancer's configuration: labels and a check on port 42
// (ServiceDiscoveryUtil#injectBalancerLabelsAndHealthcheck).
func completeBalancer(config map[string]any) {
	labels, _ := config["labels"].(map[string]any)
	labels = cloneMap(labels)
	if labels == nil {
		labels = map[string]any{}
	}
	for name, value := range map[string]string{
		"io.rancher.container.agent.role": "environmentAdmin,agent", labelCreateAgent: "true",
		"io.rancher.container.agent_service.drain_provider": "true",
	} {
		if labels[name] == nil {
			labels[name] = value
		}
	}
	config["labels"] = labels
	if config["healthCheck"] != nil {
		return
	}
	config["healthCheck"] = map[string]any{
		"type": "instanceHealthCheck", "healthyThreshold": json.Number("2"), "initializingTimeout": json.Number("60000"),
		"interval": json.Number("2000"), "name": nil, "port": json.Number("42"), "recreateOnQuorumStrategyConfig": nil,
		"reinitializingTimeout": json.Number("60000"), "requestLine": nil, "responseTimeout": json.Number("2000"),
		"strategy": nil, "unhealthyThreshold": json.Number("3"),
	}
}
