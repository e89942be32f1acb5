//! Claims that no volume is bound to: what speaks against each volume.

use kubernaut_core::model::{Category, EvidenceSource, Object, selector_matches};

use crate::{
    facts::{Facts, quantity},
    graph::Finding,
    propose,
};

pub(super) fn not_bound(facts: &Facts, claim: &Object) -> Finding {
    let reference = claim.reference();
    let event = facts.events_of(&reference).filter(|e| e.kind == "Warning").last();
    let lost = claim.str_at("/status/phase") == Some("Lost");
    let obstacles = obstacles(facts, claim);
    let summary = match obstacles.as_slice() {
        _ if lost => "the claim lost its volume".to_owned(),
        [] => "the claim is not bound, and its class exists".to_owned(),
        [one] => format!("the claim is not bound: {one}"),
        [first, rest @ ..] => format!("the claim is not bound: {first}, and {} more volumes do not fit", rest.len()),
    };
    let confidence = if obstacles.is_empty() && !lost && event.is_none() { 0.7 } else { 0.9 };
    let mut finding = Finding::new(Category::VolumeUnavailable, &reference, confidence, summary);
    for obstacle in obstacles.iter().take(4) {
        finding = finding.because(&reference, EvidenceSource::Spec, obstacle.clone());
    }
    finding
        .because(&reference, EvidenceSource::Status, format!("phase {}", claim.str_at("/status/phase").unwrap_or("unknown")))
        .because_some(&reference, EvidenceSource::Event, event.map(|e| format!("{}: {}", e.reason, e.message)))
        .propose(propose::escalate(
            &reference,
            "the volume has to be looked at by a person",
            vec!["check size, access mode and selector of the claim against the volumes, and the provisioner's log".to_owned()],
        ))
}

/// Why the volumes that a claim could get do not fit; those of other classes are left out.
fn obstacles(facts: &Facts, claim: &Object) -> Vec<String> {
    let class = |o: &Object| o.str_at("/spec/storageClassName").unwrap_or_default().to_owned();
    let named = claim.str_at("/spec/volumeName");
    let meant = |v: &&Object| named.map_or_else(|| class(v) == class(claim), |n| v.name() == n);
    let mut found: Vec<String> = facts.store.all("PersistentVolume").filter(meant).filter_map(|v| misfit(v, claim)).collect();
    if let Some(name) = named.filter(|n| facts.store.is_absent("PersistentVolume", None, n)) {
        found.push(format!("volume {name}, which the claim names, does not exist"));
    }
    found
}

/// Why a volume is not for a claim.
fn misfit(volume: &Object, claim: &Object) -> Option<String> {
    let name = volume.name();
    let holder = |part: &str| volume.str_at(&format!("/spec/claimRef/{part}"));
    if let Some(other) = holder("name").filter(|n| *n != claim.name() || holder("namespace") != claim.namespace()) {
        return Some(format!("volume {name} belongs to claim {}/{other}", holder("namespace").unwrap_or_default()));
    }
    if volume.str_at("/status/phase") == Some("Released") || holder("uid").is_some_and(|u| claim.uid().is_some_and(|c| c != u)) {
        return Some(format!("volume {name} was released by a claim that is gone and is kept for its data"));
    }
    let modes = |o: &Object| o.list_at("/spec/accessModes").iter().filter_map(|m| m.as_str().map(str::to_owned)).collect::<Vec<_>>();
    let missing: Vec<String> = modes(claim).into_iter().filter(|m| !modes(volume).contains(m)).collect();
    if !missing.is_empty() {
        return Some(format!("volume {name} lacks the access mode {} (it has {})", missing.join(", "), modes(volume).join(", ")));
    }
    let wanted = claim.at("/spec/resources/requests/storage").and_then(quantity::of).unwrap_or(0.0);
    let offered = volume.at("/spec/capacity/storage").and_then(quantity::of).unwrap_or(f64::INFINITY);
    if wanted > offered {
        return Some(format!("volume {name} has {}, the claim asks for {}", quantity::memory(offered), quantity::memory(wanted)));
    }
    let mode = |o: &Object| o.str_at("/spec/volumeMode").unwrap_or("Filesystem").to_owned();
    if mode(volume) != mode(claim) {
        return Some(format!("volume {name} is of mode {}, the claim asks for {}", mode(volume), mode(claim)));
    }
    let selector = claim.at("/spec/selector")?;
    (!selector_matches(selector, &volume.labels())).then(|| format!("volume {name} does not carry the labels that the claim asks for: {selector}"))
}
