//! Phase `verifying`: look until the effect is certain or the time for recovery is over.

use std::time::Duration;

use jiff::SignedDuration;
use kubernaut_core::{
    model::{CheckOutcome, Incident, Run, RunState, Timestamp, Verdict, Verification, VerificationCheck},
    port::{NewEvent, VerifyRequest},
    service::Signal,
};
use serde_json::{Value, json};

use super::{
    PART,
    damage::new_alerts,
    executing::{GONE, acted},
    investigating::PLANNED,
    session::{Flow, Session, Step, Stop, tolerate},
    text,
};
use crate::{
    VerificationConfig,
    lifecycle::{Input, after, after_ms},
};

/// Events read at once.
const PAGE: u32 = 1000;
const LOOK: Duration = Duration::from_secs(30);
/// Between looks at a recording.
const RECORDED_INTERVAL_MS: u64 = 500;

impl VerificationConfig {
    /// The longest that verification may take.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_secs(self.window_s.saturating_add(self.alert_grace_s))
    }

    /// Whether the time for recovery is over. An alert that alone is missing gets more time: its rule looks back. Nothing reconciles in a
    /// recording beyond what it declares, so there it is short.
    fn is_over(&self, since: Timestamp, now: Timestamp, before: Option<&Verification>, recorded: bool) -> bool {
        if recorded {
            return now >= after(since, self.recorded_window_s);
        }
        let grace = if before.is_some_and(only_the_alert_is_missing) { self.alert_grace_s } else { 0 };
        now >= after(since, self.window_s.saturating_add(grace))
    }

    /// Whether two looks, `settle_s` apart, found it effective.
    fn is_settled(&self, before: Option<&Verification>, now: Timestamp, recorded: bool) -> bool {
        let first = before.filter(|v| v.verdict == Verdict::Effective);
        first.is_some_and(|v| recorded || now >= after(v.at, self.settle_s))
    }
}

fn only_the_alert_is_missing(look: &Verification) -> bool {
    let outcome = |name: &str| look.checks.iter().find(|c| c.name == name).map(|c| c.outcome);
    outcome("workload_healthy") == Some(CheckOutcome::Pass) && outcome("alert_resolved") == Some(CheckOutcome::Fail)
}

impl Session<'_> {
    pub(super) async fn verify(&mut self) -> Step<Flow> {
        if self.incident.verification.as_ref().is_some_and(|v| self.is_to_be_undone(v.verdict)) {
            return self.take_back().await;
        }
        let Some(run) = self.fetch_run().await? else {
            return self.end(Input::FoundUnknown, GONE.into()).await;
        };
        let config = self.inner.config.verification;
        let cluster = &self.inner.parts.cluster;
        let recorded = tolerate(self.call("cluster.info", LOOK, |ctx| cluster.info(ctx)).await)?.is_ok_and(|i| i.recorded);
        let before = self.incident.verification.clone();
        let last = config.is_over(self.incident.phase_since, self.now(), before.as_ref(), recorded);
        let undoable = acted(&run);
        let look = self.look(run, last).await?;
        metrics::counter!("kubernaut_processor_looks_total", "verdict" => text::name_of(look.verdict)).increment(1);
        match look.verdict {
            Verdict::Effective if config.is_settled(before.as_ref(), look.at, recorded) => self.judged(Input::FoundEffective, look).await,
            // The first of two: its time stays until a look says otherwise.
            Verdict::Effective if before.as_ref().is_some_and(|v| v.verdict == Verdict::Effective) => self.look_again(None, recorded).await,
            Verdict::Effective | Verdict::Pending => self.look_again(Some(look), recorded).await,
            Verdict::Ineffective if !(undoable && self.is_to_be_undone(Verdict::Ineffective)) => self.judged(Input::FoundIneffective, look).await,
            Verdict::Unknown => self.judged(Input::FoundUnknown, look).await,
            Verdict::Harmful | Verdict::Ineffective => {
                let event = verified(&look);
                let incident = Incident { message: text::verdict(&look), verification: Some(look), ..self.incident.clone() };
                self.note(incident, vec![event]).await?;
                Ok(Flow::Next)
            }
        }
    }

    /// One look; what cannot be looked at is pending, and unknown if it was the last chance.
    async fn look(&self, run: Run, last: bool) -> Step<Verification> {
        let verifier = &self.inner.parts.verifier;
        let request = VerifyRequest { incident: self.incident.clone(), run, last_look: last, baseline: self.baseline().await? };
        let began = request.run.steps.iter().filter_map(|s| s.started_at).min();
        let look = match tolerate(self.call("verifier.verify", LOOK, |ctx| verifier.verify(ctx, request)).await)? {
            Ok(look) => self.with_new_alerts(look, began).await?,
            Err(error) => {
                let check = VerificationCheck { name: "workload_healthy".into(), outcome: CheckOutcome::Skip, text: error.to_string() };
                Verification { verdict: Verdict::Pending, score: 0.0, checks: vec![check], at: self.now(), simulated: false }
            }
        };
        let verdict = if last && look.verdict == Verdict::Pending { Verdict::Unknown } else { look.verdict };
        Ok(Verification { verdict, at: self.now(), ..look })
    }

    /// Whether a change of which that was found is taken back.
    fn is_to_be_undone(&self, verdict: Verdict) -> bool {
        verdict == Verdict::Harmful || (verdict == Verdict::Ineffective && self.inner.config.verification.undo_ineffective)
    }

    /// New alerts on the same owner are new damage, unless things are well all the same.
    async fn with_new_alerts(&self, mut look: Verification, began: Option<Timestamp>) -> Step<Verification> {
        let well = look.checks.iter().any(|c| c.name == "workload_healthy" && c.outcome == CheckOutcome::Pass);
        let Some(began) = began.filter(|_| !well && !matches!(look.verdict, Verdict::Effective | Verdict::Harmful)) else { return Ok(look) };
        let alerts = self.inner.parts.ledger.alerts(self.ctx(), self.incident.id).await.map_err(Stop::Ledger)?;
        let lasting = SignedDuration::from_secs(i64::try_from(self.inner.config.verification.new_alert_s).unwrap_or(i64::MAX));
        let names = new_alerts(&alerts, began, self.now(), lasting);
        if !names.is_empty() {
            let text = format!("began with the run and fire still: {}", names.join(", "));
            look.checks.push(VerificationCheck { name: "no_new_alerts".into(), outcome: CheckOutcome::Fail, text });
            look.verdict = Verdict::Harmful;
        }
        Ok(look)
    }

    /// How things stood before the run, from the event that planned it.
    async fn baseline(&self) -> Step<Value> {
        let (mut after, mut planned) = (0, None);
        loop {
            let page = self.inner.parts.ledger.events(self.ctx(), after, Some(self.incident.id), Some(PAGE)).await.map_err(Stop::Ledger)?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            let found = page.into_iter().rev().find(|e| e.kind == PLANNED && e.attempt == self.incident.attempt);
            planned = found.or(planned);
        }
        Ok(planned.map(|mut e| e.data["baseline"].take()).unwrap_or_default())
    }

    async fn look_again(&mut self, look: Option<Verification>, recorded: bool) -> Step<Flow> {
        if let Some(look) = look {
            self.incident.message = text::verdict(&look);
            self.incident.verification = Some(look);
        }
        let config = self.inner.config.verification;
        let interval = if recorded { config.interval_ms.min(RECORDED_INTERVAL_MS) } else { config.interval_ms };
        Ok(Flow::Wait(after_ms(self.now(), interval.max(50))))
    }

    async fn judged(&mut self, input: Input, look: Verification) -> Step<Flow> {
        let (event, message) = (verified(&look), text::verdict(&look));
        self.incident.verification = Some(look);
        self.end_with(input, message, vec![event], &Default::default()).await
    }

    /// A harmful change is taken back; whether that worked, the run tells.
    async fn take_back(&mut self) -> Step<Flow> {
        let Some(run) = self.fetch_run().await? else { return self.not_taken_back(GONE).await };
        match run.state {
            RunState::RolledBack => {
                self.end(Input::RunTakenBack, format!("{} and was taken back: {}", self.why_undone(), self.incident.message)).await
            }
            RunState::Succeeded if !acted(&run) => self.not_taken_back("the run changed nothing").await,
            RunState::Succeeded if !run.rollback_requested => {
                if !self.signalled(&run, &Signal::Rollback).await {
                    let engine = &self.inner.parts.engine;
                    let told = self.call("workflow_engine.signal", LOOK, |ctx| engine.signal(ctx, run.id, Signal::Rollback)).await;
                    match tolerate(told)? {
                        Err(error) if !error.is_transient() => return self.not_taken_back(&error.to_string()).await,
                        other => other.map(|_| ()).map_err(Stop::Service)?,
                    }
                }
                Ok(Flow::Wait(after_ms(self.now(), self.inner.config.run_poll_ms.max(50))))
            }
            state if state.is_terminal() => self.not_taken_back(&run.message).await,
            _ => Ok(Flow::Wait(after_ms(self.now(), self.inner.config.run_poll_ms.max(50)))),
        }
    }

    fn why_undone(&self) -> &'static str {
        match self.incident.verification.as_ref().map(|v| v.verdict) {
            Some(Verdict::Ineffective) => "it did not help",
            _ => "it made things worse",
        }
    }

    async fn not_taken_back(&mut self, why: &str) -> Step<Flow> {
        self.end(Input::RunUnknown, format!("{} and could not be taken back: {why}", self.why_undone())).await
    }
}

fn verified(look: &Verification) -> NewEvent {
    NewEvent::system("incident.verified", PART, json!(look))
}
