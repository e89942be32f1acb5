//! Credentials that are refused.

use kubernaut_core::model::{Category, EvidenceSource, Object, ObjectRef};
use serde_json::json;

use super::{Case, rollout};
use crate::{
    facts::{
        deps,
        log::{Hit, Signature},
        managed,
        refs::{self, Reference},
        service, text,
    },
    graph::{Finding, Report},
    propose,
};

pub(super) fn examine(case: &Case<'_>, report: &mut Report) {
    let hits = case.all_hits();
    let refused = hits.iter().filter(|(_, h)| h.sign.kind == Signature::AuthFailed).min_by_key(|(_, h)| h.from_end);
    let told = refused.map(|(o, h)| (*o, *h)).or_else(|| refused_by_peer(case));
    let Some((object, hit)) = told else { return };
    // A healthy workload that refuses others' logins (a database) is not the one with the wrong password.
    if !case.is_target && case.failing.is_empty() && hit.hosts.is_empty() {
        return;
    }
    let Some(secret) = secret_for(case, object, hit) else {
        report.findings.extend(without_secret(case, object, hit));
        return;
    };
    let reference = secret.object.clone();
    let found = case.facts.store.find(&reference);
    let changed = found.and_then(managed::changed_at).filter(|at| case.facts.age_s(*at) < 7 * 86_400);
    let rotated =
        found.is_some_and(|s| managed::last_write(s).and_then(|w| w.at).zip(s.created_at()).is_some_and(|(w, c)| w > c)) && changed.is_some();
    let confidence = if rotated { 0.94 } else { 0.86 };
    let mut finding = Finding::new(Category::BadCredentials, &reference, confidence, format!("the credentials in {} are refused", reference.name))
        .because(&object.reference(), EvidenceSource::Log, hit.line.clone())
        .because(&case.reference(), EvidenceSource::Spec, format!("{} is used by {}", reference, secret.place));
    if let Some(write) = found.and_then(managed::last_write) {
        finding = finding.because(
            &reference,
            EvidenceSource::Spec,
            format!("last changed by {} at {}", write.manager, write.at.map(|t| t.to_string()).unwrap_or_default()),
        );
    }
    let brought = case.rollout().and_then(|r| {
        let mentions = |v: &Option<serde_json::Value>| v.as_ref().is_some_and(|v| v.to_string().contains(&format!("\"{}\"", reference.name)));
        Some((r, r.changes.iter().find(|c| mentions(&c.after) && !mentions(&c.before))?))
    });
    if let Some((rollout, change)) = brought.filter(|(r, _)| r.proven.is_some()) {
        let finding = finding.because(&case.reference(), EvidenceSource::Revision, rollout::describe(rollout, change));
        report.find(rollout::with_undo(case, rollout, &[change], finding));
        return;
    }
    report.find(
        finding.propose(
            propose::action("restore_secret", &reference, json!({}))
                .when(false, "the value that was accepted before is known")
                .effect("the login is accepted")
                .steps(vec![
                    format!("put the valid credentials into {reference}"),
                    format!("restart {} if it reads them only at its start", case.reference()),
                ])
                .done(),
        ),
    );
}

/// The peer's log says that it refuses a user whom this workload's settings name; its own log does not say why it fails.
fn refused_by_peer<'a>(case: &Case<'a>) -> Option<(&'a Object, &'a Hit)> {
    let own = case.failing.first()?;
    let names: Vec<String> =
        deps::settings(case.facts, &case.workload).into_iter().map(|s| s.text.trim().to_owned()).filter(|t| t.len() > 2).collect();
    let address = own.str_at("/status/podIP").unwrap_or("none");
    let about_us = |h: &&Hit| {
        let user =
            text::quoted(&h.line).iter().any(|q| names.iter().any(|n| n == q || n.contains(&format!("//{q}:")) || n.contains(&format!("//{q}@"))));
        h.sign.kind == Signature::AuthFailed && (user || h.line.contains(address))
    };
    deps::dependencies(case.facts, &case.workload).iter().find_map(|dependency| {
        let service = case.facts.store.find(dependency.service()?)?;
        let behind = service::workloads(case.facts, service);
        let pods: Vec<&Object> = behind.iter().flat_map(|w| w.pods.iter().copied()).collect();
        let hit = pods.iter().find_map(|p| {
            let mut logs = case.facts.logs.of_pod(p.namespace().unwrap_or_default(), p.name());
            logs.find_map(|(_, l)| l.recent(case.facts.now, 900).find(about_us))
        })?;
        Some((*own, hit))
    })
}

/// The login is refused and no Secret holds it: it stands in the template, or nowhere.
fn without_secret(case: &Case<'_>, object: &Object, hit: &Hit) -> Option<Finding> {
    if case.failing.is_empty() && !case.is_target {
        return None;
    }
    let reference = case.reference();
    let finding = Finding::new(Category::BadCredentials, &reference, 0.82, "its login is refused, and no Secret holds the credentials")
        .because(&object.reference(), EvidenceSource::Log, hit.line.clone())
        .because(&reference, EvidenceSource::Spec, "the template refers to no Secret");
    let secretive = |n: &str| ["PASS", "PWD", "TOKEN", "KEY", "CRED", "USER"].iter().any(|w| n.to_uppercase().contains(w));
    let brought = case.rollout().and_then(|r| Some((r, r.changes.iter().find(|c| c.env_name().is_some_and(secretive))?)));
    if let Some((release, change)) = brought.filter(|(r, _)| r.proven.is_some()) {
        // The value stays out of the evidence.
        let text = format!("revision {} changed {}", release.current.number, change.path);
        return Some(rollout::with_undo(case, release, &[change], finding.because(&reference, EvidenceSource::Revision, text)));
    }
    Some(finding.propose(propose::escalate(
        &reference,
        "credentials that the peer accepts have to be provided",
        vec!["put valid credentials into a Secret and let the template refer to it".to_owned()],
    )))
}

/// The Secret whose content is refused: the one the line's user or peer points to, else the only one, else one that looks like a password.
fn secret_for(case: &Case<'_>, object: &Object, hit: &Hit) -> Option<Reference> {
    let spec = object.at("/spec").or_else(|| case.workload.object.pod_spec())?;
    let all: Vec<Reference> =
        refs::references(spec, object.namespace()).into_iter().filter(|r| r.object.kind == "Secret" && r.place != "imagePullSecrets").collect();
    let exists = |r: &&Reference| !case.facts.store.is_absent("Secret", r.object.namespace.as_deref(), &r.object.name);
    let line = hit.line.to_lowercase();
    let words: Vec<String> = text::quoted(&hit.line)
        .iter()
        .map(|q| q.to_lowercase())
        .chain(hit.hosts.iter().map(|h| h.name.split('.').next().unwrap_or_default().to_owned()))
        .filter(|w| w.len() > 2)
        .collect();
    let score = |r: &Reference| {
        let name = format!("{} {} {}", r.object.name, r.place, r.key.clone().unwrap_or_default()).to_lowercase();
        let named = words.iter().filter(|w| name.contains(w.as_str())).count() * 4;
        let product = ["postgres", "mysql", "mongo", "redis", "rabbit", "kafka", "ldap", "smtp"]
            .iter()
            .filter(|p| line.contains(*p) && name.contains(*p))
            .count()
            * 2;
        let secretive = usize::from(["pass", "pwd", "cred", "token", "auth", "key"].iter().any(|p| name.contains(p)));
        named + product + secretive
    };
    let mut found: Vec<&Reference> = all.iter().filter(exists).collect();
    found.sort_by_key(|r| (std::cmp::Reverse(score(r)), managed_age(case, &r.object)));
    found.first().map(|r| (*r).clone())
}

/// Seconds since a Secret was changed; the newest first.
fn managed_age(case: &Case<'_>, secret: &ObjectRef) -> i64 {
    case.facts.store.find(secret).and_then(managed::changed_at).map_or(i64::MAX, |at| case.facts.age_s(at))
}
