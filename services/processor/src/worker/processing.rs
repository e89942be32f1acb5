//! Phase `processing`: true owner, classification, holds.

use std::time::Duration;

use jiff::SignedDuration;
use kubernaut_core::{
    ErrorKind,
    model::{AlertStatus, FingerprintStrategy, HistoryEntry, Incident, Mode, Phase, Run, RunState, Timestamp, top_owner},
    port::{IncidentFilter, NewEvent},
    service::{ClassifyRequest, RunFilter},
};
use serde_json::json;

use super::{
    PART,
    session::{Flow, Session, Step, Stop, tolerate},
    text,
};
use crate::{
    block::{BlockFacts, Hold, hold},
    lifecycle::Input,
    scope,
};

/// Limit of one read of cluster or memory.
const READ: Duration = Duration::from_secs(30);
const ACTIVE_RUNS: [RunState; 4] = [RunState::Running, RunState::AwaitingApproval, RunState::Paused, RunState::Compensating];

impl Session<'_> {
    pub(super) async fn process(&mut self) -> Step<Flow> {
        if !self.incident.owner_resolved && !self.rekey().await? {
            return Ok(Flow::Ended);
        }
        let classified = self.classify().await?;
        let history = self.history_for_holds().await?;
        let (duplicate, busy, unmanaged) = (self.duplicate().await?, self.busy().await?, self.unmanaged().await);
        let facts = BlockFacts { now: self.now(), history: &history, duplicate, busy, unmanaged };
        let events = vec![classified];
        match hold(&self.inner.config.blocks, &facts) {
            Hold::None => self.go(Input::Classified, "being analysed".into(), events).await,
            Hold::Until(block) => {
                metrics::counter!("kubernaut_processor_holds_total", "reason" => text::name_of(block.reason)).increment(1);
                let (reason, text) = (block.reason, block.text.clone());
                self.incident.block = Some(block);
                self.go(Input::Held(reason), text, events).await
            }
            Hold::Person(block) => self.end_with(Input::HandedOver, block.text, events, &Default::default()).await,
        }
    }

    /// Gives the incident its true owner; `false` if it went into another one.
    async fn rekey(&mut self) -> Step<bool> {
        let target = self.incident.target.clone();
        let cluster = &self.inner.parts.cluster;
        let owners = match self.call("cluster.owners", READ, |ctx| cluster.owners(ctx, target.clone())).await {
            Ok(owners) => owners,
            // What is gone has no owner left to ask.
            Err(Stop::Service(error)) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(stop) => return Err(stop),
        };
        let owner = top_owner(&target, &owners);
        let fingerprint = rekeyed(&self.incident, &owner);
        let ledger = &self.inner.parts.ledger;
        let merged = ledger.rekey(self.ctx(), self.incident.id, self.epoch(), owner, fingerprint).await.map_err(Stop::Ledger)?;
        if let Some(other) = merged {
            tracing::info!(incident = %self.incident.id, %other, "same owner as another incident; merged");
            return Ok(false);
        }
        self.incident = ledger.incident(self.ctx(), self.incident.id).await.map_err(Stop::Ledger)?;
        Ok(true)
    }

    async fn classify(&mut self) -> Step<NewEvent> {
        let alerts = self.inner.parts.ledger.alerts(self.ctx(), self.incident.id).await.map_err(Stop::Ledger)?;
        let newest = alerts.iter().rev().find(|a| a.status == AlertStatus::Firing).or(alerts.last());
        let labels = newest.map(|a| a.labels.clone()).unwrap_or_default();
        let request = ClassifyRequest { target: self.incident.target.clone(), severity: self.incident.severity, labels };
        let classifier = &self.inner.parts.classifier;
        let classification = self.call("classifier.classify", READ, |ctx| classifier.classify(ctx, request)).await?;
        let event = NewEvent::system("incident.classified", PART, json!(classification));
        self.incident.classification = Some(classification);
        Ok(event)
    }

    /// A memory that does not answer holds nothing back: the gate still stands before every action.
    async fn history_for_holds(&self) -> Step<Vec<HistoryEntry>> {
        let seconds = i64::try_from(self.inner.config.blocks.lookback_s()).unwrap_or(i64::MAX);
        self.history_since(SignedDuration::from_secs(seconds)).await
    }

    pub(super) async fn history_since(&self, ago: SignedDuration) -> Step<Vec<HistoryEntry>> {
        let since = self.now().checked_sub(ago).unwrap_or(Timestamp::MIN);
        let (owner, context) = (self.incident.owner.clone(), &self.inner.parts.context);
        match tolerate(self.call("context_store.history", READ, |ctx| context.history(ctx, owner, since)).await)? {
            Ok(entries) => Ok(entries.into_iter().filter(|e| e.incident_id != Some(self.incident.id)).collect()),
            Err(error) => {
                tracing::warn!(incident = %self.incident.id, %error, "history cannot be read");
                Ok(Vec::new())
            }
        }
    }

    async fn duplicate(&self) -> Step<Option<String>> {
        let filter =
            IncidentFilter { open: Some(true), namespace: self.incident.owner.namespace.clone(), limit: Some(1000), ..IncidentFilter::default() };
        let open = self.inner.parts.ledger.incidents(self.ctx(), filter).await.map_err(Stop::Ledger)?;
        Ok(open.iter().find(|o| goes_first(o, &self.incident)).map(|o| format!("incident {} of {} is {}", o.id, o.owner, o.phase)))
    }

    async fn busy(&self) -> Step<Option<String>> {
        for state in ACTIVE_RUNS {
            let filter = RunFilter { state: Some(state), ..RunFilter::default() };
            let runs = self.inner.parts.ledger.runs(self.ctx(), filter).await.map_err(Stop::Ledger)?;
            if let Some(run) = runs.iter().find(|r| holds(r, &self.incident)) {
                return Ok(Some(format!("run {} of incident {} holds {} ({})", run.id, run.incident_id, self.incident.owner, state.as_str())));
            }
        }
        Ok(None)
    }

    async fn unmanaged(&self) -> Option<String> {
        let config = &self.inner.config;
        if !config.blocks.unmanaged || config.mode < Mode::Approve {
            return None;
        }
        scope::reason_for(&*self.inner.parts.cluster, &self.ctx(), &config.scope, &self.incident.target).await
    }
}

/// The fingerprint by which intake tells this incident apart, for its true owner. What no strategy explains was given by a host and stays.
fn rekeyed(incident: &Incident, owner: &kubernaut_core::model::ObjectRef) -> String {
    let by = |s: FingerprintStrategy, o| s.fingerprint(&incident.cluster, o, &incident.alert_name);
    let strategies = [FingerprintStrategy::Owner, FingerprintStrategy::OwnerAndAlert];
    let used = strategies.into_iter().find(|s| by(*s, &incident.owner) == incident.fingerprint);
    used.map_or_else(|| incident.fingerprint.clone(), |s| by(s, owner))
}

/// Whether another incident of the same owner is worked on before this one. Of two that are not yet analysed, the older goes first.
fn goes_first(other: &Incident, this: &Incident) -> bool {
    let same =
        other.id != this.id && other.tenant == this.tenant && other.cluster == this.cluster && other.owner.to_string() == this.owner.to_string();
    let working = matches!(other.phase, Phase::Investigating | Phase::AwaitingApproval | Phase::Executing | Phase::Verifying);
    let earlier = other.id < this.id && matches!(other.phase, Phase::Received | Phase::Processing);
    same && (working || earlier)
}

fn holds(run: &Run, incident: &Incident) -> bool {
    let concerned = [incident.owner.to_string(), incident.target.to_string()];
    run.incident_id != incident.id && run.plan.steps.iter().any(|s| concerned.contains(&s.target.to_string()))
}
