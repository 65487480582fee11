package ranchersim

import "slices"

// The states of a service.
const (
	stateRequested        = "requested"
	stateRegistering      = "registering"
	stateInactive         = "inactive"
	stateActivating       = "activating"
	stateActive           = "active"
	stateUpdatingActive   = "updating-active"
	stateUpdatingInactive = "updating-inactive"
	stateDeactivating     = "deactivating"
	stateUpgrading        = "upgrading"
	stateUpgraded         = "upgraded"
	stateFinishing        = "finishing-upgrade"
	stateCanceling        = "canceling-upgrade"
	stateCanceled         = "canceled-upgrade"
	stateRollingBack      = "rolling-back"
	stateRestarting       = "restarting"
	stateRemoving         = "removing"
	stateRemoved          = "removed"
)

// The further states of a container.
const (
	stateCreating = "creating"
	stateStarting = "starting"
	stateRunning  = "running"
	stateStopping = "stopping"
	stateStopped  = "stopped"
	stateError    = "error"

	stateReconnecting = "reconnecting" // Of a host whose agent went away.
)

// transition is one process of the state machine in Cattle's spring-process-context.xml.
type transition struct {
	from []string          // States in which the action is offered.
	via  map[string]string // Transitioning state by start state; "" is the rule for all others.
	done map[string]string // State at the end by transitioning state; "" is the rule for all others.
}

var serviceProcesses = map[string]transition{
	"create":          {[]string{stateRequested}, to(stateRegistering), to(stateInactive)},
	"activate":        {[]string{stateInactive, stateRestarting}, to(stateActivating), to(stateActive)},
	"deactivate":      {[]string{stateActive, stateActivating, stateUpdatingActive, stateUpdatingInactive, stateRestarting}, to(stateDeactivating), to(stateInactive)},
	"remove":          {allServiceStates(), to(stateRemoving), to(stateRemoved)},
	"upgrade":         {[]string{stateActive, stateActivating, stateInactive, stateUpdatingActive}, to(stateUpgrading), to(stateUpgraded)},
	"finishupgrade":   {[]string{stateUpgraded}, to(stateFinishing), to(stateActive)},
	"rollback":        {[]string{stateUpgrading, stateUpgraded, stateCanceled}, to(stateRollingBack), to(stateActive)},
	"cancelupgrade":   {[]string{stateUpgrading, stateFinishing}, to(stateCanceling), to(stateCanceled)},
	"continueupgrade": {[]string{stateCanceled}, to(stateUpgrading), to(stateUpgraded)},
	"restart":         {[]string{stateActive}, to(stateRestarting), to(stateActive)},
	"update": {
		from: []string{
			stateInactive, stateActive, stateUpdatingActive, stateActivating,
			stateUpgrading, stateCanceling, stateRollingBack, stateFinishing,
		},
		via: map[string]string{stateInactive: stateUpdatingInactive, stateActive: stateUpdatingActive},
		done: map[string]string{
			stateUpdatingInactive: stateInactive, stateUpdatingActive: stateActive, stateActivating: stateActive,
			stateFinishing: stateActive, stateRollingBack: stateActive,
			// These two end a rollout that is not at its end: never PUT a service while it is upgrading.
			stateUpgrading: stateUpgraded, stateCanceling: stateCanceled,
		},
	},
}

func to(state string) map[string]string { return map[string]string{"": state} }

func allServiceStates() []string {
	return []string{
		stateRequested, stateRegistering, stateInactive, stateActivating, stateActive, stateUpdatingActive,
		stateUpdatingInactive, stateDeactivating, stateUpgrading, stateUpgraded, stateFinishing, stateCanceling,
		stateCanceled, stateRollingBack, stateRestarting,
	}
}

// viaState is the transitioning state of a process that starts in the given state.
func (t transition) viaState(from string) string {
	if s, ok := t.via[from]; ok {
		return s
	}
	if s, ok := t.via[""]; ok {
		return s
	}
	return from
}

// doneState is where a process ends that transitions through the given state.
func (t transition) doneState(via string) string {
	if s, ok := t.done[via]; ok {
		return s
	}
	return t.done[""]
}

// serviceActions are the names under actions in a state. The three link actions have no process and are always there.
func serviceActions(state string) []string {
	actions := []string{"addservicelink", "removeservicelink", "setservicelinks"}
	for _, name := range sortedKeys(serviceProcesses) {
		if slices.Contains(serviceProcesses[name].from, state) {
			actions = append(actions, name)
		}
	}
	slices.Sort(actions)
	return actions
}

// containerActions are the names under actions of a container. Running, stopped, stopping, error and removed are
// recorded; those of the short states in between follow instance.* in spring-process-context.xml.
func containerActions(state string) []string {
	switch state {
	case stateRunning:
		return []string{"execute", "logs", "migrate", "proxy", "restart", "stop", "update"}
	case stateStopped:
		return []string{"error", "logs", "remove", "start", "update"}
	case stateStopping:
		return []string{"logs"}
	case stateStarting, stateRestarting:
		return []string{"stop"}
	case stateError:
		return []string{"remove"}
	case stateRemoved:
		return []string{"purge"}
	default:
		return nil
	}
}

// stackActions are the names under actions of a stack.
func stackActions(state string) []string {
	common := []string{"activateservices", "addoutputs", "deactivateservices", "exportconfig"}
	switch state {
	case stateActivating:
		return append(common, "error", "remove")
	case stateActive:
		return append(common, "remove", "update", "upgrade")
	default:
		return common
	}
}

// hostActions are the names under actions of a host, the same while it reconnects.
func hostActions(state string) []string {
	if state == stateRemoving || state == stateRemoved {
		return nil
	}
	if state == stateInactive {
		return []string{"activate", "delete", "dockersocket", "evacuate", "remove", "update", "upgrade"}
	}
	return []string{"deactivate", "delete", "dockersocket", "evacuate", "update", "upgrade"}
}

// isTransitioning tells whether a state shows transitioning: yes.
func isTransitioning(state string) bool {
	switch state {
	case stateRegistering, stateActivating, stateDeactivating, stateUpdatingActive, stateUpdatingInactive,
		stateUpgrading, stateFinishing, stateCanceling, stateRollingBack, stateRestarting, stateRemoving,
		stateCreating, stateStarting, stateStopping:
		return true
	}
	return false
}

// isServing tells whether reconcile may create and start containers in a state (getServiceActiveStates in Cattle).
func isServing(state string) bool {
	switch state {
	case stateInactive, stateUpdatingInactive, stateDeactivating, stateRemoving, stateRemoved, stateRegistering, stateRequested:
		return false
	}
	return true
}
