//! Alerts, runs and the rest, as small as they can be.

use std::collections::BTreeMap;

use serde_json::json;

use super::Bench;
use crate::{
    model::{
        ActionRequest, Alert, AlertId, AlertStatus, Approval, ApprovalDecision, ApprovalId, ApprovalState, ApprovalTerms, IncidentId, IntakeOutcome,
        IntakeResult, Intent, IntentState, Mode, Notification, NotificationId, NotificationKind, ObjectRef, PLAN_VERSION, Plan, PlanId, RUN_SCHEMA,
        Run, RunId, RunState, Severity,
    },
    port::{Intake, IntakePolicy, RunChange},
};

impl Bench {
    /// A firing alert; alerts of the same labels are the same alert again.
    pub(super) fn alert(&self, fingerprint: &str, pod: &str) -> Alert {
        let now = self.now();
        Alert {
            id: AlertId::new(now),
            source: "test".into(),
            status: AlertStatus::Firing,
            name: "PodCrashLooping".into(),
            severity: Severity::Warning,
            labels: BTreeMap::from([("pod".to_owned(), pod.to_owned())]),
            annotations: BTreeMap::new(),
            starts_at: now,
            ends_at: None,
            received_at: now,
            generator_url: None,
            source_fingerprint: None,
            target: ObjectRef::new("Pod", Some("shop"), pod),
            owner: ObjectRef::new("Deployment", Some("shop"), "web"),
            owner_resolved: true,
            fingerprint: fingerprint.into(),
        }
    }

    pub(super) fn resolved(&self, fingerprint: &str, pod: &str) -> Alert {
        Alert { status: AlertStatus::Resolved, ends_at: Some(self.now()), ..self.alert(fingerprint, pod) }
    }

    pub(super) async fn intake(&self, alerts: Vec<Alert>) -> Vec<IntakeResult> {
        let policy = IntakePolicy::default();
        self.ledger.intake(super::ctx(), Intake { alerts, policy }).await.unwrap()
    }

    pub(super) async fn take(&self, alert: Alert) -> IntakeResult {
        self.intake(vec![alert]).await.remove(0)
    }

    /// Opens an incident.
    pub(super) async fn open(&self, fingerprint: &str) -> IncidentId {
        let result = self.take(self.alert(fingerprint, "web-1")).await;
        assert_eq!(result.outcome, IntakeOutcome::Created);
        result.incident_id.unwrap()
    }

    pub(super) fn new_run(&self, incident_id: IncidentId) -> Run {
        let now = self.now();
        let plan = Plan { id: PlanId::new(now), version: PLAN_VERSION, reason: "test".into(), steps: Vec::new(), approval_timeout_s: 900 };
        // From its wire shape, so that fields which have a default need no mention here.
        serde_json::from_value(json!({
            "schema": RUN_SCHEMA, "id": RunId::new(now), "incident_id": incident_id, "attempt": 1, "state": RunState::Running, "plan": plan,
            "mode": Mode::Auto, "steps": [], "created_at": now, "updated_at": now,
        }))
        .unwrap()
    }

    pub(super) fn notification(&self, incident_id: IncidentId, title: &str) -> Notification {
        let now = self.now();
        Notification {
            id: NotificationId::new(now),
            incident_id,
            kind: NotificationKind::Information,
            severity: Severity::Info,
            title: title.into(),
            body: String::new(),
            data: json!({}),
            at: now,
        }
    }

    pub(super) fn new_approval(&self, run: &Run, seconds: i64) -> Approval {
        let now = self.now();
        Approval {
            id: ApprovalId::new(now),
            incident_id: run.incident_id,
            run_id: run.id,
            step_id: "s1".into(),
            request: request("k1"),
            changes: Vec::new(),
            digest: "d1".into(),
            reasons: vec!["production".into()],
            state: ApprovalState::Pending,
            requested_at: now,
            expires_at: now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap(),
            decided_by: None,
            decided_at: None,
            comment: None,
            terms: ApprovalTerms::default(),
            requested_by: None,
            agreed: Vec::new(),
        }
    }

    pub(super) fn new_intent(&self, key: &str) -> Intent {
        let pre_state = json!({"replicas": 1, "share": 0.1});
        Intent {
            key: key.into(),
            incident_id: None,
            request: request(key),
            digest: "d1".into(),
            pre_state,
            state: IntentState::Open,
            at: self.now(),
            execution: None,
        }
    }
}

fn request(key: &str) -> ActionRequest {
    ActionRequest { action: "rollout_restart".into(), target: ObjectRef::new("Deployment", Some("shop"), "web"), params: json!({}), key: key.into() }
}

pub(super) fn change(run: Run, epoch: u64) -> RunChange {
    RunChange {
        run,
        epoch,
        journal: Vec::new(),
        approval: None,
        consumed_signals: None,
        events: Vec::new(),
        notifications: Vec::new(),
        wake_at: None,
        release: false,
    }
}

pub(super) fn yes(digest: Option<&str>) -> ApprovalDecision {
    ApprovalDecision { approve: true, by: "ana".into(), digest: digest.map(str::to_owned), comment: None, groups: Vec::new() }
}
