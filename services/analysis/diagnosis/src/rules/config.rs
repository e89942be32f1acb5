//! ConfigMaps and Secrets: absent, without the key that is wanted, or with content that is refused.

use kubernaut_core::model::{Category, EvidenceSource, Object, ObjectRef, ProposedAction};
use serde_json::json;

use super::{Case, rollout};
use crate::{
    facts::{
        log::{Hit, Signature},
        managed, pod,
        refs::{self, Broken, Reference},
        revision::{self, ChangeKind},
        text,
    },
    graph::{Finding, Lead, Report},
    propose,
};

pub(super) fn examine(case: &Case<'_>, report: &mut Report) {
    missing(case, report);
    if let Some(finding) = lost_variable(case).or_else(|| bad_content(case)).or_else(|| changed_just_before(case)) {
        report.find(finding);
    }
}

/// A variable is missing that no template ever set by name, and a ConfigMap or Secret that fills the environment as a whole was edited.
fn lost_variable(case: &Case<'_>) -> Option<Finding> {
    let (object, container) = case.crashing().next()?;
    let hits = case.hits(object, container.name);
    let hit = hits.iter().take(5).find(|h| h.sign.kind == Signature::MissingEnv)?;
    let name = hit.sign.subject.as_deref()?;
    let set_by_name = container.spec["env"].as_array().into_iter().flatten().any(|e| e["name"] == name);
    if set_by_name || case.blamed_rollout().is_some() {
        return None;
    }
    // The pod took the place of one that the same template had made long before.
    let template_at = revision::revisions(case.facts, &case.workload).last().and_then(|r| r.object.created_at());
    let replaced = template_at.zip(object.created_at()).is_some_and(|(t, p)| p.as_second() - t.as_second() >= revision::PROVEN_S);
    let lost = |reference: &Reference| {
        let source = case.facts.store.find(&reference.object)?;
        let has = ["/data", "/binaryData"].iter().any(|p| source.at(p).is_some_and(|d| d.get(name).is_some()));
        let write = managed::last_write(source);
        let edited = write.and_then(|w| w.at).filter(|at| source.created_at().is_none_or(|c| *at > c) && case.facts.age_s(*at) < 7 * 86_400);
        let why = match (edited, write) {
            // Who takes a key out leaves no trace as a manager.
            _ if managed::was_applied_with(source, name) => format!("it was applied with the key {name}, which is gone"),
            (Some(at), Some(write)) => format!("last changed by {} at {at}", write.manager),
            _ if replaced => format!("earlier pods of the same template started, so the key {name} was there"),
            _ => return None,
        };
        (!has).then_some((edited, source, why))
    };
    let all = refs::references(object.at("/spec")?, object.namespace());
    let own = |r: &&Reference| r.key.is_none() && r.place.starts_with("envFrom") && r.container.as_deref() == Some(container.name);
    let (reference, (_, source, why)) = all.iter().filter(own).filter_map(|r| Some((r, lost(r)?))).max_by_key(|(_, (at, ..))| *at)?;
    let category = if reference.object.kind == "ConfigMap" { Category::MissingConfigmap } else { Category::MissingSecret };
    let summary = format!("{} fills the environment of container {} and has no key {name} any more", reference.object, container.name);
    let mut action = restore(case, reference, &Broken::KeyAbsent(name.to_owned()));
    let keys = source.map_at("/data");
    if let Some(near) = keys.keys().find(|k| text::distance(k, name, 2) <= 2) {
        action.manual_steps.insert(0, format!("{} has the key {near}; check whether {name} was renamed", reference.object));
    }
    Some(
        Finding::new(category, &reference.object, 0.92, summary)
            .because(&object.reference(), EvidenceSource::Log, hit.line.clone())
            .because(&reference.object, EvidenceSource::Spec, why)
            .propose(action),
    )
}

/// No log tells, but a ConfigMap that the crashing container reads was changed just before, and nothing else was.
fn changed_just_before(case: &Case<'_>) -> Option<Finding> {
    let (object, container) =
        case.crashing().find(|(_, c)| c.last_end().is_some_and(|t| t.failed() && !t.is_oom() && !matches!(t.exit_code, 137 | 143)))?;
    let silent = case.facts.logs.get(case.namespace(), object.name(), container.name).is_none();
    if !silent || case.rollout().is_some_and(|r| r.at.is_some_and(|at| case.facts.age_s(at) < 86_400)) {
        return None;
    }
    let onset = case.onset()?;
    let just_before = |m: &&Object| {
        let edited = managed::last_write(m).and_then(|w| w.at).filter(|at| m.created_at().is_none_or(|c| *at > c));
        edited.is_some_and(|at| (-60..=1_800).contains(&(onset.as_second() - at.as_second())))
    };
    let references = refs::references(object.at("/spec")?, object.namespace());
    let maps: Vec<&Object> =
        references.iter().filter(|r| r.object.kind == "ConfigMap").filter_map(|r| case.facts.store.find(&r.object)).filter(just_before).collect();
    let map = maps.first()?;
    let reference = map.reference();
    let write = managed::last_write(map)?;
    let (action, _) = repair(map, &[]);
    Some(
        Finding::new(Category::ConfigError, &reference, 0.76, format!("it was changed just before container {} began to end", container.name))
            .because(
                &reference,
                EvidenceSource::Spec,
                format!("last changed by {} at {}", write.manager, write.at.map(|t| t.to_string()).unwrap_or_default()),
            )
            .because(
                &object.reference(),
                EvidenceSource::Status,
                format!("container {} fails since {onset}; its template did not change", container.name),
            )
            .propose(action),
    )
}

/// References that lead nowhere, of pods that wait for them.
fn missing(case: &Case<'_>, report: &mut Report) {
    for object in &case.failing {
        let Some(spec) = object.at("/spec") else { continue };
        let broken: Vec<(Reference, Broken)> = refs::references(spec, object.namespace())
            .into_iter()
            .filter(|r| r.place != "imagePullSecrets")
            .filter_map(|r| refs::broken(case.facts, &r).map(|b| (r, b)))
            .collect();
        let said = said_missing(case, object);
        let started = pod::containers(object).iter().any(|c| c.is_running() || c.last_end().is_some());
        for (reference, what) in broken {
            let confirmed = said.iter().any(|s| s.contains(&reference.object.name));
            // A pod that runs has what it needs; the reference is not what is wrong with it.
            if (started && !confirmed) || !matches!(reference.object.kind.as_str(), "ConfigMap" | "Secret") {
                continue;
            }
            let finding = missing_finding(case, object, &reference, &what, said.iter().find(|s| s.contains(&reference.object.name)));
            match super::custom::certificate_of(case.facts, &reference.object).filter(|_| what == Broken::Absent) {
                Some(certificate) => {
                    report.lead(Lead::new(&certificate.reference(), 0.99, format!("it is to fill {}, which does not exist", reference.object)));
                    report.find(finding.symptomatic());
                }
                None => report.find(finding),
            }
        }
        if report.findings.iter().any(|f| matches!(f.category, Category::MissingConfigmap | Category::MissingSecret)) {
            return;
        }
        if let Some(finding) = said.iter().find_map(|s| said_only(case, object, s)) {
            report.find(finding);
            return;
        }
    }
}

/// What the kubelet says is missing.
fn said_missing(case: &Case<'_>, object: &Object) -> Vec<String> {
    let waits =
        pod::containers(object).into_iter().filter(|c| c.waiting_reason() == "CreateContainerConfigError").map(|c| c.waiting_message().to_owned());
    let events = case
        .facts
        .events_of(&object.reference())
        .filter(|e| matches!(e.reason.as_str(), "FailedMount" | "Failed") && case.facts.is_recent(e, 3_600))
        .map(|e| e.message.clone());
    let names = |m: &String| {
        (m.contains("configmap") || m.contains("secret"))
            && (m.contains("not found") || m.contains("couldn't find key") || m.contains("non-existent config key"))
    };
    let mut all: Vec<String> = waits.chain(events).filter(names).collect();
    all.reverse();
    all
}

/// Only the kubelet's word: the lists could not be read.
fn said_only(case: &Case<'_>, object: &Object, said: &str) -> Option<Finding> {
    let kind = if said.contains("configmap") { "ConfigMap" } else { "Secret" };
    let known = refs::references(object.at("/spec")?, object.namespace());
    let stated = |q: &&str| said.contains(&format!("{} \"{q}\" not found", kind.to_lowercase()));
    let name = text::quoted(said).into_iter().find(|q| known.iter().any(|r| r.object.name == *q) || stated(q))?;
    let reference = Reference {
        object: ObjectRef::new(kind, object.namespace(), name),
        key: None,
        place: "the pod template".into(),
        optional: false,
        container: None,
        mounts: Vec::new(),
    };
    Some(missing_finding(case, object, &reference, &Broken::Absent, Some(&said.to_owned())))
}

fn missing_finding(case: &Case<'_>, object: &Object, reference: &Reference, what: &Broken, said: Option<&String>) -> Finding {
    let is_map = reference.object.kind == "ConfigMap";
    let category = if is_map { Category::MissingConfigmap } else { Category::MissingSecret };
    let summary = match what {
        Broken::Absent => format!("{} is named by {} and does not exist", reference.object, reference.place),
        Broken::KeyAbsent(key) => format!("{} lacks the key {key} that {} wants", reference.object, reference.place),
    };
    let mut finding = Finding::new(category, &reference.object, if said.is_some() { 0.97 } else { 0.93 }, summary.clone()).because(
        &case.reference(),
        EvidenceSource::Spec,
        summary,
    );
    if let Some(said) = said {
        finding = finding.because(&object.reference(), EvidenceSource::Event, said.clone());
    }
    if let Some(change) = introduced(case, &reference.object.name)
        && let Some(rollout) = case.rollout().filter(|r| r.proven.is_some())
    {
        let finding = finding.because(&case.reference(), EvidenceSource::Revision, rollout::describe(rollout, &change));
        return rollout::with_undo(case, rollout, &[&change], finding);
    }
    finding.propose(restore(case, reference, what))
}

/// The change of the last rollout that brought the reference.
pub(super) fn introduced(case: &Case<'_>, name: &str) -> Option<crate::facts::revision::Change> {
    let rollout = case.rollout()?;
    let mentions = |v: &Option<serde_json::Value>| v.as_ref().is_some_and(|v| v.to_string().contains(&format!("\"{name}\"")));
    rollout.changes.iter().find(|c| mentions(&c.after) && !mentions(&c.before)).cloned()
}

fn restore(case: &Case<'_>, reference: &Reference, what: &Broken) -> ProposedAction {
    let is_map = reference.object.kind == "ConfigMap";
    if let Some(action) = put_key_back(case, reference, what) {
        return action;
    }
    let name = if is_map { "restore_configmap" } else { "restore_secret" };
    let params = match what {
        Broken::Absent => json!({}),
        Broken::KeyAbsent(key) => json!({ "key": key }),
    };
    let renamed = case
        .facts
        .store
        .list(&reference.object.kind, reference.object.namespace.as_deref())
        .any(|o| o.name() != reference.object.name && text::distance(o.name(), &reference.object.name, 2) <= 2);
    let mut steps = vec![format!("bring {} back from where it is kept (chart, repository, backup)", reference.object)];
    if renamed {
        steps.push("an object with a similar name exists; check whether it was renamed, do not point at another service's values".to_owned());
    }
    propose::action(name, &reference.object, params)
        .when(false, format!("a copy of {} is known", reference.object))
        .effect("the containers can be created")
        .steps(steps)
        .done()
}

/// The key with the content that was applied last; of ConfigMaps only, as the value is shown.
fn put_key_back(case: &Case<'_>, reference: &Reference, what: &Broken) -> Option<ProposedAction> {
    let Broken::KeyAbsent(key) = what else { return None };
    let map = case.facts.store.find(&reference.object).filter(|o| o.kind() == "ConfigMap")?;
    let (_, value) = managed::edited_since_applied(map).into_iter().find(|(k, _)| k == key)?;
    Some(
        propose::action("patch_configmap", &reference.object, json!({ "key": key, "value": value }))
            .when(true, format!("what was applied last to {} holds the key {key}", reference.object))
            .effect("the containers can be created")
            .done(),
    )
}

/// The content of a ConfigMap makes the process end.
fn bad_content(case: &Case<'_>) -> Option<Finding> {
    let (object, container) = case.crashing().find(|(_, c)| !c.last_end().is_some_and(|t| t.is_oom()))?;
    let hits = case.hits(object, container.name);
    let hit = hits.iter().take(6).find(|h| matches!(h.sign.kind, Signature::BadConfig | Signature::MissingFile))?;
    let spec = object.at("/spec")?;
    let references: Vec<Reference> = refs::references(spec, object.namespace()).into_iter().filter(|r| r.object.kind == "ConfigMap").collect();
    let (map, basis) = culprit(case, &references, hits, hit)?;
    // A map that the last rollout brought is the rollout's fault.
    if introduced(case, map.name()).is_some() && case.blamed_rollout().is_some() {
        return None;
    }
    if case.blamed_rollout().is_some_and(|r| r.of(ChangeKind::Command).next().is_some() && hit.sign.kind == Signature::MissingFile) {
        return None;
    }
    let changed = managed::last_write(map);
    let recent =
        changed.and_then(|w| w.at).zip(case.onset()).is_some_and(|(at, onset)| (-3_600..=86_400).contains(&(onset.as_second() - at.as_second())));
    let named = basis == Basis::Token || basis == Basis::Path;
    let confidence = match (named, recent) {
        (true, true) => 0.96,
        (true, false) => 0.88,
        (false, true) => 0.85,
        (false, false) => 0.6,
    };
    if hit.sign.kind == Signature::MissingFile && basis != Basis::Path {
        return None;
    }
    let reference = map.reference();
    let mut finding = Finding::new(Category::ConfigError, &reference, confidence, format!("container {} refuses its configuration", container.name))
        .because(&object.reference(), EvidenceSource::Log, hit.line.clone());
    if let Some(write) = changed {
        let at = write.at.map(|t| t.to_string()).unwrap_or_default();
        finding = finding.because(&reference, EvidenceSource::Spec, format!("last changed by {} at {at}", write.manager));
    }
    let (action, evidence) = repair(map, hits);
    Some(finding.because_some(&reference, EvidenceSource::Spec, evidence).propose(action))
}

/// Why a ConfigMap is held to be the one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Basis {
    /// The line quotes something that stands in it.
    Token,
    /// The line names a file that is mounted from it.
    Path,
    /// It is the one that changed, or the only one.
    Only,
}

fn culprit<'a>(case: &Case<'a>, references: &[Reference], hits: &[Hit], hit: &Hit) -> Option<(&'a Object, Basis)> {
    let maps: Vec<&Object> = references.iter().filter_map(|r| case.facts.store.find(&r.object)).filter(|m| m.name() != "kube-root-ca.crt").collect();
    let with_token = |m: &&&Object| tokens(hits).iter().any(|t| m.map_at("/data").values().any(|v| v.contains(t.as_str())));
    let path = hits.iter().take(6).filter_map(|h| h.sign.subject.as_deref()).find_map(|p| refs::mounted_at(references, p));
    if let Some(reference) = path
        && let Some(map) = case.facts.store.find(&reference.object)
    {
        let basis = if with_token(&&map) { Basis::Token } else { Basis::Path };
        return Some((map, basis));
    }
    if let Some(map) = maps.iter().find(with_token) {
        return Some((map, Basis::Token));
    }
    if hit.sign.subject.is_some() && hit.sign.kind == Signature::MissingFile {
        return None;
    }
    let newest = maps.iter().max_by_key(|m| managed::changed_at(m))?;
    Some((newest, Basis::Only))
}

/// Words that refused lines quote, long enough to mean something.
fn tokens(hits: &[Hit]) -> Vec<String> {
    let lines = hits.iter().take(6).filter(|h| h.sign.kind == Signature::BadConfig);
    lines.flat_map(|h| text::quoted(&h.line)).filter(|t| t.len() >= 3 && !t.starts_with('/')).map(str::to_owned).collect()
}

/// Taking out the one setting that is refused, where the map is a list of settings; else a person has to correct it.
fn repair(map: &Object, hits: &[Hit]) -> (ProposedAction, Option<String>) {
    let reference = map.reference();
    if let [(key, value)] = managed::edited_since_applied(map).as_slice() {
        let proposal = propose::action("patch_configmap", &reference, json!({ "key": key, "value": value }))
            .when(true, format!("key {key} is no longer as it was applied last"))
            .effect("the process accepts its configuration")
            .done();
        return (proposal, Some(format!("key {key} was edited after it was applied last")));
    }
    let unknown = hits.iter().take(6).find(|h| {
        let lower = h.line.to_lowercase();
        h.sign.kind == Signature::BadConfig && ["unrecognized", "unknown", "unsupported", "unexpected key"].iter().any(|w| lower.contains(w))
    });
    let quoted = unknown.map(|h| text::quoted(&h.line)).unwrap_or_default();
    for (key, content) in map.map_at("/data") {
        for token in &quoted {
            let lines: Vec<&str> = content.lines().filter(|l| setting_name(l) == Some(*token)).collect();
            if let [line] = lines.as_slice() {
                let proposal = propose::action("patch_configmap", &reference, json!({ "key": key, "remove_line": line }))
                    .when(true, format!("{token} stands once in key {key}, as a setting of its own"))
                    .effect(format!("the process starts without the setting {token}"))
                    .done();
                return (proposal, Some(format!("key {key} holds the line: {}", text::short(line, 120))));
            }
        }
    }
    let evidence = map.map_at("/data").into_iter().find_map(|(key, content)| {
        let line = content.lines().find(|l| quoted.iter().any(|t| l.contains(*t)))?;
        Some(format!("key {key} holds the line: {}", text::short(line, 120)))
    });
    let proposal = propose::action("patch_configmap", &reference, json!({}))
        .when(false, "the correct content is known")
        .effect("the process accepts its configuration")
        .steps(vec![format!("correct {reference}; the log line in the evidence says what is refused")])
        .done();
    (proposal, evidence)
}

/// The name of a `name: value` or `name = value` line.
fn setting_name(line: &str) -> Option<&str> {
    let line = line.trim();
    let end = line.find([':', '='])?;
    let name = line[..end].trim();
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    let leaf = !line.ends_with(['{', '[', ':', '|', '>']);
    (plain && leaf).then_some(name)
}
