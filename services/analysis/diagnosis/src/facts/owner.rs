//! Who manages an object: Helm, Argo CD or Flux. A managed object is a copy; its source is elsewhere.

use kubernaut_core::model::{Object, ObjectRef, Timestamp};

use super::{Facts, managed, pod::time};

/// The manager of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Manager {
    /// A Helm release, by name and namespace.
    Helm { release: String, namespace: String },
    /// An Argo CD Application.
    Argo(ObjectRef),
    /// A Flux Kustomization or HelmRelease.
    Flux(ObjectRef),
    /// An operator, by the custom resource that owns the object.
    Operator(ObjectRef),
}

impl Manager {
    /// The manager in words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Helm { release, namespace } => format!("Helm release {release} in {namespace}"),
            Self::Argo(app) => format!("Argo CD {app}"),
            Self::Flux(source) => format!("Flux {source}"),
            Self::Operator(resource) => format!("the operator of {resource}"),
        }
    }

    /// Whether a controller puts the source's state back by itself.
    pub(crate) fn is_gitops(&self) -> bool {
        !matches!(self, Self::Helm { .. })
    }

    /// Whether a field manager's name is this manager's.
    pub(crate) fn writes_as(&self, field_manager: &str) -> bool {
        let name = field_manager.to_ascii_lowercase();
        match self {
            Self::Helm { .. } => name.starts_with("helm"),
            Self::Argo(_) => name.contains("argocd"),
            Self::Operator(_) => name.contains("operator") || name.contains("controller"),
            Self::Flux(_) => name.contains("kustomize-controller") || name.contains("helm-controller") || name.contains("flux"),
        }
    }
}

/// The manager of an object, from its labels and annotations.
pub(crate) fn manager(facts: &Facts, object: &Object) -> Option<Manager> {
    if let Some(app) = argo_app(facts, object) {
        return Some(Manager::Argo(app));
    }
    for (prefix, kind, group) in [
        ("kustomize.toolkit.fluxcd.io", "Kustomization", "kustomize.toolkit.fluxcd.io"),
        ("helm.toolkit.fluxcd.io", "HelmRelease", "helm.toolkit.fluxcd.io"),
    ] {
        if let Some(name) = object.label(&format!("{prefix}/name")) {
            let namespace = object.label(&format!("{prefix}/namespace")).or(object.namespace());
            return Some(Manager::Flux(ObjectRef::new(kind, namespace, name).with_group(group)));
        }
    }
    if let Some(manager) = by_field_manager(facts, object) {
        return Some(manager);
    }
    if object.label("app.kubernetes.io/managed-by") == Some("Helm") || object.annotation("meta.helm.sh/release-name").is_some() {
        let release = object.annotation("meta.helm.sh/release-name").or_else(|| object.label("app.kubernetes.io/instance"))?;
        let namespace = object.annotation("meta.helm.sh/release-namespace").or(object.namespace())?;
        return Some(Manager::Helm { release: release.to_owned(), namespace: namespace.to_owned() });
    }
    operator(facts, object).map(Manager::Operator)
}

/// The custom resource at the top of the owners; kinds of Kubernetes itself have a group without a dot, or below `k8s.io`.
fn operator(facts: &Facts, object: &Object) -> Option<ObjectRef> {
    object.controller()?;
    let top = facts.store.top_owner(object);
    let custom = top.group.contains('.') && !top.group.ends_with(".k8s.io");
    custom.then_some(top)
}

/// A GitOps controller that wrote the object last, where no label or annotation tells.
fn by_field_manager(facts: &Facts, object: &Object) -> Option<Manager> {
    let writer = managed::last_write(object)?.manager;
    if writer.starts_with("argocd") {
        let deploys_here = |a: &&Object| a.str_at("/spec/destination/namespace") == object.namespace();
        let apps: Vec<&Object> = facts.store.all("Application").filter(deploys_here).collect();
        let app = match apps.as_slice() {
            [only] => only.reference(),
            _ => ObjectRef::new("Application", Some("argocd"), object.name()).with_group("argoproj.io"),
        };
        return Some(Manager::Argo(app));
    }
    let (kind, group) = match writer {
        "kustomize-controller" => ("Kustomization", "kustomize.toolkit.fluxcd.io"),
        "helm-controller" => ("HelmRelease", "helm.toolkit.fluxcd.io"),
        _ => return None,
    };
    Some(Manager::Flux(ObjectRef::new(kind, object.namespace(), object.name()).with_group(group)))
}

fn argo_app(facts: &Facts, object: &Object) -> Option<ObjectRef> {
    let tracked = object.annotation("argocd.argoproj.io/tracking-id").and_then(|id| id.split(':').next());
    let labelled = object.label("argocd.argoproj.io/instance");
    let by_instance = || {
        let name = object.label("app.kubernetes.io/instance")?;
        facts.store.all("Application").any(|a| a.name() == name).then_some(name)
    };
    let id = tracked.or(labelled).or_else(by_instance)?;
    // An application outside Argo CD's own namespace is tracked as `namespace_name`.
    let (namespace, name) = id.split_once('_').map_or((None, id), |(n, a)| (Some(n), a));
    let known = facts.store.all("Application").find(|a| a.name() == name && namespace.is_none_or(|n| a.namespace() == Some(n)));
    Some(known.map_or_else(|| ObjectRef::new("Application", namespace.or(Some("argocd")), name).with_group("argoproj.io"), Object::reference))
}

/// A state of the source that was deployed.
#[derive(Debug, Clone)]
pub(crate) struct Deployed {
    pub(crate) revision: String,
    pub(crate) at: Option<Timestamp>,
}

/// The states an Argo CD Application deployed, oldest first.
pub(crate) fn argo_history(app: &Object) -> Vec<Deployed> {
    let entry = |h: &serde_json::Value| Some(Deployed { revision: h["revision"].as_str()?.to_owned(), at: time(&h["deployedAt"]) });
    app.list_at("/status/history").iter().filter_map(entry).collect()
}

/// A revision of a Helm release.
#[derive(Debug, Clone)]
pub(crate) struct HelmRevision {
    pub(crate) number: i64,
    pub(crate) status: String,
    pub(crate) at: Option<Timestamp>,
}

/// Revisions of a Helm release, oldest first, from its release Secrets or ConfigMaps.
pub(crate) fn helm_history(facts: &Facts, release: &str, namespace: &str) -> Vec<HelmRevision> {
    let prefix = format!("sh.helm.release.v1.{release}.v");
    let read = |o: &Object| {
        let number = o.name().strip_prefix(&prefix)?.parse().ok()?;
        let at = o.label("modifiedAt").and_then(|s| s.parse().ok()).and_then(|s| Timestamp::from_second(s).ok()).or_else(|| o.created_at());
        Some(HelmRevision { number, status: o.label("status").unwrap_or_default().to_owned(), at })
    };
    let mut all: Vec<_> = ["Secret", "ConfigMap"].iter().flat_map(|k| facts.store.list(k, Some(namespace))).filter_map(read).collect();
    all.sort_by_key(|r| r.number);
    all
}
