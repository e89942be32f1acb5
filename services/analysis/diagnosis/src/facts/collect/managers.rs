//! Who wrote what: lists leave field managers out, so the objects that rules ask about are read whole.

use std::collections::BTreeSet;

use futures::future::join_all;
use kubernaut_core::model::{Object, ObjectRef};

use super::reader::Reader;
use crate::facts::{Facts, refs, workload::Workload};

/// Objects that are read whole in one diagnosis.
const MOST: usize = 32;

/// Kinds behind a workload whose last writer matters.
const REFERRED: &[&str] = &["ConfigMap", "Secret"];

/// Reads the objects in view whole: the frontier, what its workloads refer to, and the policies over their namespace.
pub(super) async fn read(reader: &Reader<'_>, facts: &mut Facts, frontier: &[ObjectRef], seen: &mut BTreeSet<String>) {
    let mut wanted: Vec<ObjectRef> = Vec::new();
    for reference in std::iter::once(&facts.target).chain(frontier) {
        wanted.push(ObjectRef { uid: None, ..reference.clone() });
        let Some(workload) = Workload::find(facts, reference) else { continue };
        let named = workload.object.pod_spec().map(|spec| refs::references(spec, workload.namespace())).unwrap_or_default();
        wanted.extend(named.into_iter().map(|r| r.object).filter(|o| REFERRED.contains(&o.kind.as_str())));
        wanted.extend(facts.store.list("NetworkPolicy", workload.namespace()).map(Object::reference));
    }
    let listed_only = |r: &ObjectRef| r.kind != "Pod" && facts.store.find(r).is_some_and(|o| o.at("/metadata/managedFields").is_none());
    wanted.retain(|r| seen.len() < MOST && listed_only(r) && seen.insert(r.to_string()));
    let found = join_all(wanted.iter().map(|r| reader.whole(r))).await;
    found.into_iter().flatten().for_each(|o| facts.store.replace(o));
}
