package ranchersim

import (
	"slices"
	"strings"
)

// postUpgrade is the synchronous part of an upgrade: the posted configurations replace the stored ones wholesale and
// at once, before any container changes; what they replace is kept in the strategy (ServiceUpgradeValidationFilter).
func (s *Server) postUpgrade(q *request, svc *service) *apiError {
	in, err := s.validator(q.view).object(schemas["serviceUpgrade"], q.body, forCreate)
	if err != nil {
		return err
	}
	strategy, inService := in["inServiceStrategy"].(map[string]any)
	if !inService {
		if in["toServiceStrategy"] == nil {
			return invalid("MissingRequired", "Upgrade strategy needs to be set")
		}
		svc.pending = map[string]any{"type": "serviceUpgrade", "inServiceStrategy": nil, "toServiceStrategy": in["toServiceStrategy"]}
		s.schedule(svc, "upgrade")
		return nil
	}
	if err := checkStrategy(svc, strategy); err != nil {
		return err
	}
	s.replaceConfigs(svc, strategy)
	toService, given := in["toServiceStrategy"]
	if !given {
		toService = nil
	}
	svc.pending = map[string]any{"type": "serviceUpgrade", "inServiceStrategy": strategy, "toServiceStrategy": toService}
	s.schedule(svc, "upgrade")
	return nil
}

// checkStrategy makes the checks of ServiceUpgradeValidationFilter. That is all Rancher looks at: an upgrade without
// an image is accepted.
func checkStrategy(svc *service, strategy map[string]any) *apiError {
	config, _ := strategy["launchConfig"].(map[string]any)
	list, hasList := strategy["secondaryLaunchConfigs"].([]any)
	switch {
	case config == nil && svc.kind == "loadBalancerService":
		return invalid("InvalidOption", "LaunchConfig is required for load balancer service")
	case config == nil && !hasList:
		return invalid("InvalidOption", "LaunchConfig/secondaryLaunchConfigs need to be specified for inService strategy")
	case toBool(strategy["startFirst"]) && toBool(svc.fields["retainIp"]):
		return invalid("InvalidOption", "StartFirst option can't be used for service with retainIp field set")
	}
	if config != nil {
		if isTrue(label(config, labelGlobal)) != isTrue(label(svc.launchConfig, labelGlobal)) {
			return invalid("InvalidOption", "Switching from global scale to fixed (and vice versa)")
		}
		if err := checkConfig(config); err != nil {
			return err
		}
	}
	for _, c := range asConfigs(list) {
		if err := checkConfig(c); err != nil {
			return err
		}
	}
	return nil
}

// checkConfig checks the image's prefix and the form of the ports of a launch configuration.
func checkConfig(config map[string]any) *apiError {
	if image, ok := config["imageUuid"].(string); ok && image != imageNone &&
		!strings.HasPrefix(image, "docker:") && !strings.HasPrefix(image, "sim:") {
		return invalid("InvalidReference", "imageUuid")
	}
	return checkPortList(config)
}

// replaceConfigs stores the new configurations and completes the strategy with what was there before.
func (s *Server) replaceConfigs(svc *service, strategy map[string]any) {
	version := s.uuid()
	strategy["previousLaunchConfig"] = orNullMap(svc.launchConfig)
	strategy["previousSecondaryLaunchConfigs"] = asList(svc.secondaries)
	changed := map[string]bool{}
	primary := svc.launchConfig
	if config, ok := strategy["launchConfig"].(map[string]any); ok {
		keepRandomPorts(config, svc.launchConfig)
		config["version"] = version
		if svc.kind == "loadBalancerService" {
			completeBalancer(config)
		}
		primary = config
		changed[primaryConfig] = true
	}
	list, _ := strategy["secondaryLaunchConfigs"].([]any)
	secondaries := mergeSecondaries(svc.secondaries, asConfigs(list), version, changed)
	primary, secondaries = upgradeDependents(primary, secondaries, changed, version)
	strategy["launchConfig"] = orNullMap(primary)
	strategy["secondaryLaunchConfigs"] = asList(secondaries)
	svc.launchConfig, svc.secondaries = primary, secondaries
}

// mergeSecondaries puts the posted sidekicks first, then those left as they are; rancher/none takes one away.
func mergeSecondaries(old, posted []map[string]any, version string, changed map[string]bool) []map[string]any {
	merged := []map[string]any{}
	named := map[string]bool{}
	for _, c := range posted {
		name := text(c["name"])
		named[name], changed[name] = true, true
		if c["imageUuid"] == imageNone {
			continue
		}
		c["version"] = version
		merged = append(merged, c)
	}
	for _, c := range old {
		if !named[text(c["name"])] {
			merged = append(merged, c)
		}
	}
	return merged
}

// upgradeDependents gives the new version to configurations that share network or volumes with an upgraded one, and
// to those that depend on them in turn.
func upgradeDependents(primary map[string]any, secondaries []map[string]any, changed map[string]bool, version string) (map[string]any, []map[string]any) {
	for again := true; again; {
		again = false
		if primary != nil && !changed[primaryConfig] && dependsOn(primary, changed) {
			primary = withVersion(primary, version)
			changed[primaryConfig], again = true, true
		}
		for n, c := range secondaries {
			if name := text(c["name"]); !changed[name] && dependsOn(c, changed) {
				secondaries[n] = withVersion(c, version)
				changed[name], again = true, true
			}
		}
	}
	return primary, secondaries
}

func dependsOn(config map[string]any, changed map[string]bool) bool {
	if changed[text(config["networkLaunchConfig"])] {
		return true
	}
	volumes, _ := config["dataVolumesFromLaunchConfigs"].([]any)
	return slices.ContainsFunc(volumes, func(v any) bool { return changed[text(v)] })
}

func withVersion(config map[string]any, version string) map[string]any {
	c := cloneMap(config)
	c["version"] = version
	return c
}
