//! Alerts of many owners with one cause.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kubernaut_core::{
    ErrorKind, glob,
    model::{Alert, AlertStatus, FingerprintStrategy, IncidentId, IntakeResult, ObjectRef},
    port::{IncidentFilter, Ledger},
    service::CallContext,
};
use tokio::time::Instant;

use crate::config::{StormConfig, StormScope};

/// Where an alert of a storm says what it was about before it became part of it.
const TARGET: &str = "kubernaut.ai/target";
/// How often the ledger is asked whether another process, or this one before it was started, has seen the storm.
const LOOK: Duration = Duration::from_secs(5);
/// Scopes that are remembered; those not heard of for longest leave first.
const SCOPES: usize = 10_000;

/// What tells storms apart: the rule, the tenant and cluster, the scope, and the alert's name where it counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    rule: usize,
    place: (Arc<str>, Arc<str>),
    scope: ObjectRef,
    alert: String,
}

impl Key {
    fn fingerprint(&self) -> String {
        // The name is no alert's, so that it is never the fingerprint of an incident about the scope itself.
        FingerprintStrategy::OwnerAndAlert.fingerprint(&self.place.1, &self.scope, &format!("storm/{}/{}", self.rule, self.alert))
    }
}

/// What is known of one scope.
#[derive(Debug, Default)]
struct Scope {
    /// When each owner was heard of, and its incident.
    owners: HashMap<String, (Option<Instant>, Option<IncidentId>)>,
    /// The storm's incident, while it is open.
    storm: Option<Storm>,
    looked: Option<Instant>,
    heard: Option<Instant>,
}

#[derive(Debug)]
struct Storm {
    incident: Option<IncidentId>,
    /// Owners that kept an incident of their own, because something was begun there.
    apart: HashSet<String>,
    /// Incidents that are to be moved.
    moving: Vec<(String, IncidentId)>,
}

/// Recognises storms.
#[derive(Debug)]
pub(crate) struct Storms {
    rules: Vec<StormConfig>,
    ledger: Arc<dyn Ledger>,
    scopes: Mutex<HashMap<Key, Scope>>,
}

/// What an alert was counted on.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    key: Key,
    owner: String,
    in_storm: bool,
}

impl Storms {
    pub(crate) fn new(ledger: Arc<dyn Ledger>, rules: &[StormConfig]) -> Self {
        Self { rules: rules.to_vec(), ledger, scopes: Mutex::default() }
    }

    /// Makes an alert part of a storm where there is one; `None` if no rule speaks of it.
    pub(crate) async fn join(&self, ctx: &CallContext, alert: &mut Alert) -> Option<Member> {
        let key = self.key(ctx, alert)?;
        let owner = alert.fingerprint.clone();
        if self.wants_a_look(&key) {
            self.look(ctx, &key).await;
        }
        let in_storm = self.count(&key, &owner, alert.status);
        if in_storm {
            alert.annotations.insert(TARGET.to_owned(), alert.target.to_string());
            alert.fingerprint = key.fingerprint();
            alert.target = key.scope.clone();
            alert.owner = key.scope.clone();
            alert.owner_resolved = true;
        }
        Some(Member { key, owner, in_storm })
    }

    /// Learns what became of alerts, and moves what was opened before a storm was known to be one.
    pub(crate) async fn learn(&self, ctx: &CallContext, members: &[Option<Member>], results: &[IntakeResult]) {
        let mut touched = HashSet::new();
        for (member, result) in members.iter().zip(results) {
            let (Some(member), Some(incident)) = (member, result.incident_id) else { continue };
            if self.note(member, incident) {
                touched.insert(member.key.clone());
            }
        }
        for key in touched {
            self.gather(ctx, &key).await;
        }
    }

    fn key(&self, ctx: &CallContext, alert: &Alert) -> Option<Key> {
        let (rule, config) = self.rules.iter().enumerate().find(|(_, rule)| rule.alerts.iter().any(|name| glob::matches(name, &alert.name)))?;
        let scope = match config.by {
            StormScope::Namespace => ObjectRef::new("Namespace", None, alert.owner.namespace.as_deref()?),
            StormScope::Node => ObjectRef::new("Node", None, alert.labels.get("node").filter(|node| !node.is_empty())?),
            StormScope::Cluster => ObjectRef::new("Cluster", None, if ctx.cluster.is_empty() { "default" } else { &*ctx.cluster }),
        };
        let name = if config.per_alert { alert.name.clone() } else { String::new() };
        Some(Key { rule, place: (ctx.tenant.clone(), ctx.cluster.clone()), scope, alert: name })
    }

    fn wants_a_look(&self, key: &Key) -> bool {
        let mut scopes = self.scopes();
        if scopes.len() >= SCOPES && !scopes.contains_key(key) {
            let quiet = scopes.iter().filter(|(_, scope)| scope.storm.is_none()).min_by_key(|(_, scope)| scope.heard).map(|(key, _)| key.clone());
            quiet.and_then(|key| scopes.remove(&key));
        }
        let scope = scopes.entry(key.clone()).or_default();
        scope.heard = Some(Instant::now());
        let wants = scope.looked.is_none_or(|at| at.elapsed() >= LOOK);
        if wants {
            scope.looked = scope.heard;
        }
        wants
    }

    /// Asks the ledger for the open incident of the storm.
    async fn look(&self, ctx: &CallContext, key: &Key) {
        let filter = IncidentFilter { open: Some(true), fingerprint: Some(key.fingerprint()), limit: Some(10), ..IncidentFilter::default() };
        // Without an answer it stays as it is: the alert then counts on its own owner, where it is as safe.
        let Ok(found) = self.ledger.incidents(ctx.clone(), filter).await else { return };
        let open = found.iter().find(|incident| incident.tenant == *ctx.tenant && incident.cluster == *ctx.cluster).map(|incident| incident.id);
        let mut scopes = self.scopes();
        let Some(scope) = scopes.get_mut(key) else { return };
        match (open, &mut scope.storm) {
            (Some(id), Some(storm)) => storm.incident = Some(id),
            (Some(id), none) => *none = Some(Storm { incident: Some(id), apart: HashSet::new(), moving: Vec::new() }),
            // It has ended; whatever comes now is counted from the beginning. One that is only just being opened has no incident yet.
            (None, Some(storm)) if storm.incident.is_some() => *scope = Scope { looked: scope.looked, heard: scope.heard, ..Scope::default() },
            (None, _) => {}
        }
    }

    /// Whether an alert of this owner belongs to a storm now.
    fn count(&self, key: &Key, owner: &str, status: AlertStatus) -> bool {
        let rule = &self.rules[key.rule];
        let mut scopes = self.scopes();
        let Some(scope) = scopes.get_mut(key) else { return false };
        if let Some(storm) = &scope.storm {
            return !storm.apart.contains(owner);
        }
        if status == AlertStatus::Resolved {
            return false;
        }
        let now = Instant::now();
        let window = Duration::from_secs(rule.window_s);
        scope.owners.retain(|_, (heard, _)| heard.is_some_and(|at| now.duration_since(at) < window));
        scope.owners.entry(owner.to_owned()).or_default().0 = Some(now);
        if scope.owners.len() < rule.owners {
            return false;
        }
        let moving = scope.owners.drain().filter_map(|(owner, (_, incident))| Some((owner, incident?))).collect();
        scope.storm = Some(Storm { incident: None, apart: HashSet::new(), moving });
        metrics::counter!("kubernaut_gateway_storms_total").increment(1);
        tracing::warn!(scope = %key.scope, alert = key.alert, owners = rule.owners, window_s = rule.window_s, "a storm: its alerts become one incident");
        true
    }

    /// Whether there is something to move.
    fn note(&self, member: &Member, incident: IncidentId) -> bool {
        let mut scopes = self.scopes();
        let Some(scope) = scopes.get_mut(&member.key) else { return false };
        match &mut scope.storm {
            Some(storm) if member.in_storm => storm.incident = Some(incident),
            // It was taken in before the storm was known, and is answered only now.
            Some(storm) if !storm.apart.contains(&member.owner) => storm.moving.push((member.owner.clone(), incident)),
            Some(_) => {}
            None => {
                if let Some(known) = scope.owners.get_mut(&member.owner) {
                    known.1 = Some(incident);
                }
            }
        }
        scope.storm.as_ref().is_some_and(|storm| storm.incident.is_some() && !storm.moving.is_empty())
    }

    /// Moves into the storm's incident what was opened before.
    async fn gather(&self, ctx: &CallContext, key: &Key) {
        let (into, moving) = {
            let mut scopes = self.scopes();
            let Some(storm) = scopes.get_mut(key).and_then(|scope| scope.storm.as_mut()) else { return };
            let Some(into) = storm.incident else { return };
            (into, std::mem::take(&mut storm.moving))
        };
        let ids: Vec<IncidentId> = moving.iter().map(|(_, id)| *id).filter(|id| *id != into).collect();
        let moved = match self.ledger.absorb(ctx.clone(), into, ids).await {
            Ok(moved) => moved,
            Err(error) => {
                if error.kind() != ErrorKind::Unsupported {
                    tracing::warn!(%error, incident = %into, "what was opened before the storm was known keeps incidents of its own");
                }
                Vec::new()
            }
        };
        let mut scopes = self.scopes();
        if let Some(storm) = scopes.get_mut(key).and_then(|scope| scope.storm.as_mut()) {
            storm.apart.extend(moving.into_iter().filter(|(_, id)| *id != into && !moved.contains(id)).map(|(owner, _)| owner));
        }
    }

    fn scopes(&self) -> MutexGuard<'_, HashMap<Key, Scope>> {
        self.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
