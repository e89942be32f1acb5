# Who must agree, where somebody is asked.
package kubernaut.gate

import rego.v1

ask contains "nodes belong to the platform team" if input.target.kind == "Node"

ask contains "data services belong to their owners" if input.target.labels.tier == "data"

approval := {"approvers": 2, "groups": ["platform-admins"]} if input.target.kind == "Node"

else := {"approvers": 1, "groups": ["dba"]} if input.target.labels.tier == "data"
