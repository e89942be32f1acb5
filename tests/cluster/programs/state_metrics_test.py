"""Metrics computed from objects, without a cluster."""
import unittest

import state_metrics

POD = {
    "metadata": {"name": "web", "namespace": "shop", "uid": "u", "ownerReferences": [{"kind": "ReplicaSet", "name": "web-1", "controller": True}]},
    "spec": {},
    "status": {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "False"}],
        "containerStatuses": [{
            "name": "app", "restartCount": 3, "ready": False,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
        }],
    },
}
LABELS = 'namespace="shop",pod="web",uid="u"'


class StateMetrics(unittest.TestCase):
    def lines(self, **objects):
        return state_metrics.text(objects).splitlines()

    def test_a_crashing_container_shows_its_reason_its_last_end_and_its_restarts(self):
        lines = self.lines(pods=[POD])
        prefix = "kube_pod_container_status"
        for expected in (
            f'{prefix}_restarts_total{{{LABELS},container="app"}} 3',
            f'{prefix}_waiting_reason{{{LABELS},container="app",reason="CrashLoopBackOff"}} 1',
            f'{prefix}_last_terminated_reason{{{LABELS},container="app",reason="OOMKilled"}} 1',
            f'{prefix}_running{{{LABELS},container="app"}} 0',
            f'kube_pod_status_ready{{{LABELS},condition="false"}} 1',
            f'kube_pod_owner{{{LABELS},owner_kind="ReplicaSet",owner_name="web-1",owner_is_controller="true"}} 1',
        ):
            self.assertIn(expected, lines)

    def test_an_enumeration_has_a_series_for_every_value_and_one_of_them_is_1(self):
        phases = [line for line in self.lines(pods=[POD]) if line.startswith("kube_pod_status_phase")]
        self.assertEqual(len(phases), 5)
        self.assertEqual([line for line in phases if line.endswith(" 1")], [f'kube_pod_status_phase{{{LABELS},phase="Running"}} 1'])

    def test_each_family_is_declared_once_before_its_samples(self):
        second = dict(POD, metadata=dict(POD["metadata"], name="api"))
        lines = self.lines(pods=[POD, second])
        declared = [line.split()[2] for line in lines if line.startswith("# TYPE")]
        self.assertEqual(len(declared), len(set(declared)))
        self.assertIn("# TYPE kube_pod_container_status_restarts_total counter", lines)

    def test_values_that_would_break_a_line_are_escaped(self):
        self.assertEqual(state_metrics.escaped('a"b\\c\nd'), 'a\\"b\\\\c\\nd')

    def test_an_object_without_status_counts_as_zero_replicas(self):
        deployment = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"replicas": 2}}
        self.assertIn('kube_deployment_status_replicas_available{namespace="shop",deployment="web"} 0', self.lines(deployments=[deployment]))


if __name__ == "__main__":
    unittest.main()
