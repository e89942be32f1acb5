//! Images: not found, refused for lack of credentials, built for another platform.

use kubernaut_core::model::{Category, EvidenceSource, Object, ObjectRef, ProposedAction};
use serde_json::json;

use super::{Case, rollout};
use crate::{
    facts::{
        Facts,
        log::Signature,
        pod::Container,
        refs,
        revision::{ChangeKind, revisions},
        text,
    },
    graph::{Finding, Report},
    propose,
};

/// Reasons for which the kubelet waits for an image.
const WAITING: &[&str] = &["ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable"];

/// Why an image cannot be pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    NotFound,
    Auth,
    Platform,
    Registry,
}

pub(super) fn examine(case: &Case<'_>, report: &mut Report) {
    let waiting = case.failing_containers().find(|(_, c)| WAITING.contains(&c.waiting_reason()));
    let Some((object, container)) = waiting else {
        wrong_platform(case, report);
        return;
    };
    let message = pull_message(case, object, &container);
    let why = classify(&message, container.waiting_reason()).map(|w| if w == Why::NotFound { hidden(case, object, &container, &message) } else { w });
    let Some(why) = why else {
        report.find(
            Finding::new(Category::ImageNotFound, &case.reference(), 0.55, format!("the image of container {} cannot be pulled", container.name))
                .because(&object.reference(), EvidenceSource::Status, format!("{}: {message}", container.waiting_reason())),
        );
        return;
    };
    report.find(match why {
        Why::NotFound => not_found(case, object, &container, &message),
        Why::Auth => refused(case, object, &container, &message),
        Why::Platform => platform(case, object, &container, &message),
        Why::Registry => registry_down(case, object, &container, &message),
    });
}

/// A registry that hides private images says of them what it says of absent ones: then the pull secret and those that run the image tell.
fn hidden(case: &Case<'_>, object: &Object, container: &Container<'_>, message: &str) -> Why {
    if !message.to_lowercase().contains("may require") {
        return Why::NotFound;
    }
    let references = refs::references(object.at("/spec").unwrap_or(&serde_json::Value::Null), object.namespace());
    let lost = references.iter().any(|r| r.place == "imagePullSecrets" && refs::broken(case.facts, r).is_some());
    let image = container.spec["image"].as_str().unwrap_or_default();
    let runs = |p: &Object| {
        p.list_at("/spec/containers").iter().any(|c| c["image"] == image) && p.list_at("/status/containerStatuses").iter().any(|s| s["ready"] == true)
    };
    if lost || case.facts.store.all("Pod").any(runs) { Why::Auth } else { Why::NotFound }
}

/// The fullest text on a failed pull: event or waiting message.
fn pull_message(case: &Case<'_>, object: &Object, container: &Container<'_>) -> String {
    let image = container.spec["image"].as_str().or_else(|| container.status["image"].as_str()).unwrap_or_default();
    let event =
        case.facts.events_of(&object.reference()).filter(|e| e.reason == "Failed" && e.message.contains("pull") && e.message.contains(image)).last();
    event.map_or_else(|| container.waiting_message().to_owned(), |e| format!("{} {}", e.message, container.waiting_message()))
}

fn classify(message: &str, reason: &str) -> Option<Why> {
    let lower = message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    if has(&[
        "no match for platform",
        "no matching manifest for",
        "no image found in manifest list",
        "does not match the specified platform",
        "image operating system",
    ]) {
        return Some(Why::Platform);
    }
    if has(&[
        "401",
        "403 forbidden",
        "unauthorized",
        "authentication required",
        "no basic auth credentials",
        "denied",
        "authorization failed",
        "failed to authorize",
        "pull access",
        "insufficient_scope",
    ]) {
        // Registries that hide private images answer "denied … may require authorization" for absent ones too.
        let hidden = has(&["repository does not exist"]) && !has(&["401", "unauthorized"]);
        return Some(if hidden { Why::NotFound } else { Why::Auth });
    }
    if has(&["not found", "manifest unknown", "notfound", "does not exist", "name unknown", "name_unknown", "manifest_unknown", "404"])
        || reason == "InvalidImageName"
    {
        return Some(Why::NotFound);
    }
    has(&[
        "no such host",
        "i/o timeout",
        "connection refused",
        "dial tcp",
        "tls handshake",
        "x509",
        "server misbehaving",
        "503 service",
        "500 internal",
        "timeout exceeded",
        "toomanyrequests",
        "429",
    ])
    .then_some(Why::Registry)
}

/// Adds what the kubelet says to a finding.
fn told(case: &Case<'_>, finding: Finding, object: &Object, container: &Container<'_>, message: &str) -> Finding {
    let event = case.facts.event(&object.reference(), &["Failed"], "pull").is_some();
    let source = if event { EvidenceSource::Event } else { EvidenceSource::Status };
    finding.because(&object.reference(), source, message).because(
        &object.reference(),
        EvidenceSource::Status,
        format!("container {} waits: {}", container.name, container.waiting_reason()),
    )
}

fn not_found(case: &Case<'_>, object: &Object, container: &Container<'_>, message: &str) -> Finding {
    let image = container.spec["image"].as_str().unwrap_or("the image");
    let reference = case.reference();
    let mut finding = told(
        case,
        Finding::new(Category::ImageNotFound, &reference, 0.97, format!("image {image} does not exist in its registry")),
        object,
        container,
        message,
    );
    let changed = case.rollout().and_then(|r| Some((r, r.of(ChangeKind::Image).find(|c| c.container.as_deref() == Some(container.name))?)));
    if let Some((rollout, change)) = changed {
        finding = finding.because(&reference, EvidenceSource::Revision, rollout::describe(rollout, change));
        if rollout.proven.is_some() {
            return rollout::with_undo(case, rollout, &[change], finding);
        }
    }
    finding.propose(other_image(case, container, image))
}

/// The image from an earlier revision, or one that differs by a slip of the pen and is known to exist.
fn other_image(case: &Case<'_>, container: &Container<'_>, image: &str) -> ProposedAction {
    let known = earlier_image(case, container.name, image).or_else(|| similar_image(case.facts, image));
    let reference = case.reference();
    let proposal = match &known {
        Some((name, why)) => {
            propose::action("fix_image_reference", &reference, json!({ "container": container.name, "image": name })).when(true, why.clone())
        }
        None => propose::action("fix_image_reference", &reference, json!({ "container": container.name }))
            .when(false, "a reference that exists is known from a revision or a node"),
    };
    proposal.effect("the image is pulled and the container starts").steps(vec![format!("publish {image}, or set a reference that exists")]).done()
}

fn earlier_image(case: &Case<'_>, container: &str, image: &str) -> Option<(String, String)> {
    let all = revisions(case.facts, &case.workload);
    all.iter().rev().find_map(|r| {
        let containers = r.template["spec"]["containers"].as_array()?;
        let old = containers.iter().find(|c| c["name"] == container)?["image"].as_str()?;
        (old != image && r.ready() > 0).then(|| (old.to_owned(), format!("pods of revision {} run {old}", r.number)))
    })
}

fn similar_image(facts: &Facts, image: &str) -> Option<(String, String)> {
    let on_nodes = facts
        .store
        .all("Node")
        .flat_map(|n| n.list_at("/status/images"))
        .flat_map(|i| i["names"].as_array().into_iter().flatten())
        .filter_map(|n| n.as_str());
    let running = facts
        .store
        .all("Pod")
        .flat_map(|p| p.list_at("/status/containerStatuses"))
        .filter(|s| s["ready"] == true)
        .filter_map(|s| s["image"].as_str());
    let mut close: Vec<(&str, usize)> = on_nodes
        .chain(running)
        .filter(|n| !n.contains('@'))
        .map(|n| (n, text::distance(n, image, 2)))
        .filter(|(n, d)| *d <= 2 && *n != image)
        .collect();
    close.sort_by_key(|(n, d)| (*d, n.len()));
    close.dedup();
    // Two that are equally close would be a guess.
    let (best, d) = *close.first()?;
    let unique = close.iter().filter(|(n, e)| *e == d && *n != best).count() == 0;
    // Versions that differ by a digit are no slip of the pen.
    let same_tag = best.rsplit_once(':').map(|(_, t)| t) == image.rsplit_once(':').map(|(_, t)| t);
    (unique && same_tag).then(|| (best.to_owned(), format!("{best} exists on a node and differs from {image} by {d} characters")))
}

fn refused(case: &Case<'_>, object: &Object, container: &Container<'_>, message: &str) -> Finding {
    let spec = object.at("/spec").cloned().unwrap_or_default();
    let secrets: Vec<_> = refs::references(&spec, object.namespace()).into_iter().filter(|r| r.place == "imagePullSecrets").collect();
    let missing = secrets.iter().find(|r| refs::broken(case.facts, r).is_some());
    let reference = case.reference();
    let Some(secret) = missing.or(secrets.first()).map(|r| r.object.clone()) else {
        return told(
            case,
            Finding::new(Category::ImagePullAuth, &reference, 0.9, "the registry demands credentials and the pods name none"),
            object,
            container,
            message,
        )
        .because(&reference, EvidenceSource::Spec, "no imagePullSecrets")
        .propose(propose::escalate(
            &reference,
            "credentials for the registry have to be provided",
            vec!["create a pull secret and name it in imagePullSecrets".to_owned()],
        ));
    };
    let summary = match missing {
        Some(_) => format!("pull secret {} is missing and the registry refuses anonymous pulls", secret.name),
        None => format!("the registry refuses the credentials in {}", secret.name),
    };
    let state = if missing.is_some() { "does not exist" } else { "exists" };
    let template = template_for(case.facts, &secret);
    let params = template.map_or_else(|| json!({}), |t| json!({ "copy_from": format!("{}/{}", t.namespace().unwrap_or_default(), t.name()) }));
    let text =
        template.map_or_else(|| "a copy of the pull secret is known".to_owned(), |t| format!("a pull secret to copy exists: {}", t.reference()));
    told(case, Finding::new(Category::ImagePullAuth, &secret, if missing.is_some() { 0.97 } else { 0.85 }, summary), object, container, message)
        .because(&secret, EvidenceSource::Spec, format!("{secret} is named in imagePullSecrets and {state}"))
        .propose(
            propose::action("recreate_pull_secret", &secret, params)
                .when(template.is_some(), text)
                .when(missing.is_some(), format!("{secret} is absent, so nothing is overwritten"))
                .effect("the kubelet can pull the image again")
                .steps(vec![format!("create {secret} with valid credentials for the registry")])
                .done(),
        )
}

/// A pull secret elsewhere that looks like the template of this one.
fn template_for<'a>(facts: &'a Facts, secret: &ObjectRef) -> Option<&'a Object> {
    let is_pull = |s: &&Object| s.str_at("/type") == Some("kubernetes.io/dockerconfigjson") && s.namespace() != secret.namespace.as_deref();
    let mut found: Vec<&Object> = facts
        .store
        .all("Secret")
        .filter(is_pull)
        .filter(|s| {
            s.name() == secret.name || s.name().starts_with(&format!("{}-", secret.name)) || secret.name.starts_with(&format!("{}-", s.name()))
        })
        .collect();
    found.sort_by_key(|s| (s.name() != secret.name, !s.name().contains("template")));
    found.first().copied()
}

fn platform(case: &Case<'_>, object: &Object, container: &Container<'_>, message: &str) -> Finding {
    let finding = told(
        case,
        Finding::new(
            Category::ImageArchMismatch,
            &case.reference(),
            0.96,
            format!("the image of container {} has no build for the node's platform", container.name),
        ),
        object,
        container,
        message,
    );
    platform_action(case, object, finding)
}

/// A binary that the node's processor cannot run shows only in the log.
fn wrong_platform(case: &Case<'_>, report: &mut Report) {
    let found = case.crashing().find_map(|(o, c)| case.hits(o, c.name).iter().find(|h| h.sign.kind == Signature::ExecFormat).map(|h| (o, c, h)));
    let Some((object, container, hit)) = found else { return };
    let finding = Finding::new(
        Category::ImageArchMismatch,
        &case.reference(),
        0.94,
        format!("container {} holds a binary for another processor", container.name),
    )
    .because(&object.reference(), EvidenceSource::Log, hit.line.clone());
    report.find(platform_action(case, object, finding));
}

fn platform_action(case: &Case<'_>, object: &Object, finding: Finding) -> Finding {
    let arch_of = |node: &str| {
        case.facts.store.get("Node", None, node).and_then(|n| n.label("kubernetes.io/arch").or_else(|| n.str_at("/status/nodeInfo/architecture")))
    };
    let node = object.str_at("/spec/nodeName").unwrap_or_default();
    let here = arch_of(node);
    let finding = finding.because_some(&ObjectRef::new("Node", None, node), EvidenceSource::Spec, here.map(|a| format!("architecture {a}")));
    if let Some(rollout) = case.blamed_rollout().filter(|r| r.proven.is_some())
        && let Some(change) = rollout.of(ChangeKind::Image).next()
    {
        let finding = finding.because(&case.reference(), EvidenceSource::Revision, rollout::describe(rollout, change));
        return rollout::with_undo(case, rollout, &[change], finding);
    }
    let works_on = case
        .workload
        .pods
        .iter()
        .filter(|p| crate::facts::pod::is_ready(p))
        .find_map(|p| arch_of(p.str_at("/spec/nodeName")?))
        .filter(|a| Some(*a) != here);
    let other = || case.facts.store.all("Node").find_map(|n| n.label("kubernetes.io/arch").filter(|a| Some(*a) != here));
    let reference = case.reference();
    let Some(arch) = works_on.or_else(other) else {
        let steps = vec!["build the image for the node's architecture".to_owned()];
        return finding.propose(
            propose::action("fix_image_reference", &reference, json!({})).when(false, "an image for this architecture is known").steps(steps).done(),
        );
    };
    finding.propose(
        propose::action("patch_node_selector", &reference, json!({ "node_selector": { "kubernetes.io/arch": arch } }))
            .when(works_on.is_some() || here.is_some(), format!("nodes with architecture {arch} exist"))
            .effect(format!("pods run on {arch} nodes"))
            .done(),
    )
}

fn registry_down(case: &Case<'_>, object: &Object, container: &Container<'_>, message: &str) -> Finding {
    told(case, Finding::new(Category::RegistryUnreachable, &case.reference(), 0.9, "the registry cannot be reached"), object, container, message)
        .propose(propose::escalate(
            &case.reference(),
            "the image registry does not answer",
            vec!["check name resolution and the network from the node to the registry".to_owned()],
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pull_errors_of_common_runtimes_are_told_apart() {
        for (message, why) in [
            ("rpc error: code = NotFound desc = failed to resolve reference \"r/a:9\": r/a:9: not found", Why::NotFound),
            ("reading manifest 9 in r/a: manifest unknown", Why::NotFound),
            ("failed to authorize: failed to fetch anonymous token: unexpected status from GET request: 401 Unauthorized", Why::Auth),
            (
                "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
                Why::NotFound,
            ),
            ("no match for platform in manifest: not found", Why::Platform),
            ("no matching manifest for linux/arm64/v8 in the manifest list entries", Why::Platform),
            ("dial tcp: lookup registry.internal: no such host", Why::Registry),
        ] {
            assert_eq!(classify(message, "ErrImagePull"), Some(why), "{message}");
        }
    }
}
