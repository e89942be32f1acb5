# How far one step may go, and when.
package kubernaut.gate

import rego.v1

max_factor := 3

deny contains msg if {
	input.target.replicas > 0
	input.params.replicas > input.target.replicas * max_factor
	msg := sprintf("%d replicas are more than %d times the %d there are", [input.params.replicas, max_factor, input.target.replicas])
}

# High risk within working hours asks for one person, outside for two: the first is at hand, the second is a check on the tired.
working_hours if {
	[hour, _, _] := time.clock([time.parse_rfc3339_ns(input.now), "Europe/Berlin"])
	hour >= 9
	hour < 17
	not time.weekday([time.parse_rfc3339_ns(input.now), "Europe/Berlin"]) in {"Saturday", "Sunday"}
}

ask contains "high risk outside of working hours" if {
	input.action.risk == "high"
	not working_hours
}
