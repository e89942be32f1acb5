"""Rules computed from policies, without a cluster."""
import ipaddress
import unittest

import network_policy

NET = ipaddress.ip_network("10.1.0.0/24")
NAMESPACES = [{"metadata": {"name": n, "labels": {"kubernetes.io/metadata.name": n}}} for n in ("shop", "bank")]


def pod(name, namespace, ip, phase="Running", ports=()):
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}-0123456789", "labels": {"app": name}},
        "spec": {"containers": [{"ports": [{"name": n, "containerPort": p} for n, p in ports]}]},
        "status": {"podIP": ip, "phase": phase},
    }


def policy(namespace="shop", **spec):
    return {"metadata": {"name": "p", "namespace": namespace}, "spec": {"podSelector": {}, **spec}}


def rules(policies, *pods):
    """The rules of each pod's chain, without the chain's name: {direction and pod: [rule]}."""
    chains = network_policy.ruleset(policies, pods, NAMESPACES, NET)
    root = chains.pop(network_policy.ROOT)
    return len(root) - 1, {c: [r.removeprefix(f"-A {c} ") for r in lines] for c, lines in chains.items()}


class NetworkPolicy(unittest.TestCase):
    web = pod("web", "shop", "10.1.0.2", ports=[("http", 8080)])
    cli = pod("cli", "shop", "10.1.0.3")
    other = pod("cli", "bank", "10.1.0.4")

    def test_without_a_policy_nothing_is_dropped(self):
        self.assertEqual(rules([], self.web), (0, {}))

    def test_a_policy_without_rules_drops_everything_for_the_pods_it_selects_only(self):
        jumps, chains = rules([policy(podSelector={"matchLabels": {"app": "web"}})], self.web, self.cli, self.other)
        self.assertEqual((jumps, list(chains.values())), (1, [["-j DROP"]]))

    def test_a_pod_selector_means_the_policys_own_namespace_and_a_named_port_the_called_pods_number(self):
        allow = policy(podSelector={"matchLabels": {"app": "web"}},
                       ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "cli"}}}], "ports": [{"port": "http"}]}])
        _, chains = rules([allow], self.web, self.cli, self.other)
        self.assertEqual(list(chains.values()), [["-s 10.1.0.3/32 -p tcp --dport 8080 -j RETURN", "-j DROP"]])

    def test_a_namespace_selector_opens_to_the_pods_of_that_namespace(self):
        allow = policy(podSelector={"matchLabels": {"app": "web"}},
                       ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "bank"}}}]}])
        _, chains = rules([allow], self.web, self.cli, self.other)
        self.assertEqual(list(chains.values()), [["-s 10.1.0.4/32 -j RETURN", "-j DROP"]])

    def test_exceptions_of_a_block_stay_closed_without_closing_what_another_rule_opens(self):
        holes = {"ipBlock": {"cidr": "10.9.0.0/30", "except": ["10.9.0.2/32"]}}
        _, chains = rules([policy(policyTypes=["Egress"], egress=[{"to": [holes], "ports": [{"port": 1, "endPort": 9}]}])], self.web)
        allowed = [r.split()[1] for r in next(iter(chains.values()))[:-1]]
        self.assertEqual(sorted(allowed), ["10.9.0.0/31", "10.9.0.3/32"])
        self.assertIn("--dport 1:9", next(iter(chains.values()))[0])

    def test_policies_add_up(self):
        both = [policy(), policy(ingress=[{"from": [{"ipBlock": {"cidr": "10.9.0.1/32"}}]}])]
        _, chains = rules(both, self.web)
        self.assertEqual(next(iter(chains.values())), ["-s 10.9.0.1/32 -j RETURN", "-j DROP"])

    def test_an_ended_pods_address_may_be_anothers_and_is_left_alone(self):
        self.assertEqual(rules([policy()], pod("job", "shop", "10.1.0.2", phase="Succeeded")), (0, {}))

    def test_expressions_select_as_the_api_says(self):
        cases = [("In", ["a"], True), ("NotIn", ["a"], False), ("NotIn", ["b"], True), ("Exists", None, True), ("DoesNotExist", None, False)]
        for operator, values, expected in cases:
            selector = {"matchExpressions": [{"key": "k", "operator": operator, "values": values}]}
            self.assertEqual(network_policy.selects(selector, {"k": "a"}), expected, operator)


if __name__ == "__main__":
    unittest.main()
