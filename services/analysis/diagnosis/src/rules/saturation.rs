//! Peers that are up and take no more work.

use kubernaut_core::model::{Category, EvidenceSource, Object, ObjectRef};

use super::Case;
use crate::{
    facts::{
        deps,
        log::{Hit, Signature},
        service::{self, Resolved},
    },
    graph::Finding,
    propose,
};

/// A peer that is up and takes no more work: out of connections, or read-only.
pub(super) fn refuses_work(case: &Case<'_>, peers: &[(&Object, &Hit)]) -> Option<Finding> {
    let (object, hit) = peers.iter().filter(|(_, h)| is_refusal(h)).min_by_key(|(_, h)| h.from_end)?;
    let named = hit.hosts.iter().find_map(|h| match service::resolve(case.facts, h, case.namespace()) {
        Resolved::Service(s) => Some(s),
        _ => None,
    });
    let peer = named.or_else(|| store_of(case, &hit.line))?;
    let found = case.facts.store.find(&peer)?;
    let workload = service::workloads(case.facts, found).into_iter().find(|w| w.is_healthy(case.facts.now))?;
    if workload.reference().same_object(&case.reference()) {
        return None;
    }
    let full = hit.sign.kind == Signature::TooManyConnections;
    let (summary, step) = match full {
        true => ("it has no connection left for its clients", "find out who holds the connections; lower the clients' pools or raise the limit"),
        false => ("it takes no writes", "find out why it is read-only: a fail-over, a full disk, or a replica behind the name of the primary"),
    };
    let reference = workload.reference();
    Some(
        Finding::new(Category::DependencyFailure, &reference, 0.87, summary)
            .because(&object.reference(), EvidenceSource::Log, hit.line.clone())
            .because(&reference, EvidenceSource::Status, format!("{} of {} replicas ready", workload.ready(), workload.desired()))
            .propose(propose::escalate(&reference, summary, vec![step.to_owned()])),
    )
}

/// Whether a line says that a store refuses work. A file system that is read-only is the container's own.
fn is_refusal(hit: &Hit) -> bool {
    let lower = hit.line.to_lowercase();
    match hit.sign.kind {
        Signature::TooManyConnections => true,
        Signature::ReadOnly => ["transaction", "replica", "read only mode", "--read-only", "in read-only mode"].iter().any(|w| lower.contains(w)),
        _ => false,
    }
}

/// The store that a line without a host is about: the only peer whose port or name is that of a store of that kind.
fn store_of(case: &Case<'_>, line: &str) -> Option<ObjectRef> {
    const STORES: &[(u16, &[&str])] = &[
        (5432, &["postgres", "pg", "sqlstate"]),
        (3306, &["mysql", "maria"]),
        (6379, &["redis", "valkey", "readonly"]),
        (27017, &["mongo"]),
        (1433, &["sql server"]),
    ];
    let lower = line.to_lowercase();
    let dependencies = deps::dependencies(case.facts, &case.workload);
    let stores: Vec<(&ObjectRef, bool)> = dependencies
        .iter()
        .filter_map(|d| {
            let service = d.service()?;
            let ports = case.facts.store.find(service).map(service::ports).unwrap_or_default();
            let (_, words) = STORES.iter().find(|(port, words)| {
                d.host.port == Some(*port) || ports.iter().any(|p| p.port == *port) || words.iter().any(|w| service.name.contains(w))
            })?;
            Some((service, words.iter().any(|w| lower.contains(w))))
        })
        .collect();
    let told = stores.iter().find(|(_, said)| *said).map(|(s, _)| (*s).clone());
    told.or_else(|| match stores.as_slice() {
        [(only, _)] => Some((*only).clone()),
        _ => None,
    })
}
