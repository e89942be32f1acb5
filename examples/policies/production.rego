# What happens to production is a person's decision, and some of it nobody's.
package kubernaut.gate

import rego.v1

production if input.environment in {"production", "unknown"}

deny contains "production is never scaled to zero" if {
	production
	input.params.replicas == 0
}

deny contains msg if {
	production
	input.action.reversibility == "irreversible"
	msg := sprintf("%s cannot be taken back, so it is not done in production", [input.action.name])
}

ask contains msg if {
	production
	input.action.risk in {"high", "critical"}
	msg := sprintf("%s has risk %s in production", [input.action.name, input.action.risk])
}
