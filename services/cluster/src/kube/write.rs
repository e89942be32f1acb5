//! The write port over the API.

use async_trait::async_trait;
use http::Method;
use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Object, ObjectRef},
    port::{
        AccessReview, ClusterWrite, CopySecretRequest, CreateRequest, DeleteRequest, EvictRequest, ExecOutput, ExecRequest, PatchKind, PatchRequest,
        ScaleRequest, WriteOutcome,
    },
    service::CallContext,
};
use serde_json::{Value, json};

use super::{
    Inner, KubeCluster, needs_namespace, object,
    resource::Resource,
    rest::{Answer, Ask},
};

#[async_trait]
impl ClusterWrite for KubeCluster {
    async fn patch(&self, ctx: CallContext, request: PatchRequest) -> Result<WriteOutcome> {
        ctx.run("cluster.patch", self.0.patch(&request)).await
    }

    async fn evict(&self, ctx: CallContext, request: EvictRequest) -> Result<WriteOutcome> {
        ctx.run("cluster.evict", self.0.evict(&request)).await
    }

    async fn scale(&self, ctx: CallContext, request: ScaleRequest) -> Result<WriteOutcome> {
        ctx.run("cluster.scale", self.0.scale(&request)).await
    }

    async fn create(&self, ctx: CallContext, request: CreateRequest) -> Result<WriteOutcome> {
        ctx.run("cluster.create", self.0.create("cluster.create", &request)).await
    }

    async fn delete(&self, ctx: CallContext, request: DeleteRequest) -> Result<WriteOutcome> {
        ctx.run("cluster.delete", self.0.delete(&request)).await
    }

    async fn copy_secret(&self, ctx: CallContext, request: CopySecretRequest) -> Result<WriteOutcome> {
        ctx.run("cluster.copy_secret", self.0.copy_secret(request)).await
    }

    async fn exec(&self, ctx: CallContext, request: ExecRequest) -> Result<ExecOutput> {
        ctx.run("cluster.exec", self.0.exec(&request)).await
    }

    async fn can_i(&self, ctx: CallContext, review: AccessReview) -> Result<bool> {
        ctx.run("cluster.can_i", self.0.can_i(&review)).await
    }
}

/// The object to be changed, as read just before.
pub(super) struct Target {
    pub(super) resource: Resource,
    pub(super) path: String,
    pub(super) before: Object,
}

impl Inner {
    /// Reads the object and checks the preconditions; the server checks them again with the write.
    pub(super) async fn target(&self, operation: &'static str, reference: &ObjectRef, version: Option<&str>) -> Result<Target> {
        let resource = self.resource(operation, reference).await?;
        let path = resource.object(reference.namespace.as_deref(), &reference.name).ok_or_else(|| needs_namespace(operation, reference))?;
        let by_name = ObjectRef { uid: None, ..reference.clone() };
        let missing = || Error::not_found(operation, "the object does not exist").with("object", reference);
        let before = self.get(operation, &by_name).await?.ok_or_else(missing)?;
        let conflict = |message: &'static str| Err(Error::conflict(operation, message).with("object", reference));
        if reference.uid.as_deref().is_some_and(|uid| before.uid() != Some(uid)) {
            return conflict("another object of that name has taken its place");
        }
        if version.is_some_and(|v| before.resource_version() != Some(v)) {
            return conflict("the object has changed; read it again");
        }
        Ok(Target { resource, path, before })
    }

    async fn patch(&self, request: &PatchRequest) -> Result<WriteOutcome> {
        let target = self.target("cluster.patch", &request.target, request.resource_version.as_deref()).await?;
        let body = with_preconditions(request)?;
        let content = match request.kind {
            PatchKind::Merge => "application/merge-patch+json",
            PatchKind::Strategic => "application/strategic-merge-patch+json",
            PatchKind::Json => "application/json-patch+json",
        };
        let answer = self.send_patch("cluster.patch", &target.path, (content, body), (&request.field_manager, request.dry_run)).await?;
        let after = object(answer.json("cluster.patch")?, &target.resource);
        Ok(WriteOutcome { before: target.before, after, warnings: answer.warnings(), simulated: false })
    }

    pub(super) async fn send_patch(
        &self,
        operation: &'static str,
        path: &str,
        body: (&'static str, Value),
        (manager, dry_run): (&str, bool),
    ) -> Result<Answer> {
        // Strict: a misspelt field is refused instead of dropped in silence.
        let mut query = vec![("fieldManager", manager), ("fieldValidation", "Strict")];
        if dry_run {
            query.push(("dryRun", "All"));
        }
        self.rest.request(Ask { operation, method: Method::PATCH, path, query: &query, body: Some(body), accept: "application/json" }).await
    }

    async fn evict(&self, request: &EvictRequest) -> Result<WriteOutcome> {
        let operation = "cluster.evict";
        if request.pod.kind != "Pod" {
            return Err(Error::invalid(operation, "only pods are evicted").with("object", &request.pod));
        }
        let target = self.target(operation, &request.pod, None).await?;
        let mut options = json!({"preconditions": {"uid": target.before.uid()}});
        if let Some(grace) = request.grace_period_s {
            options["gracePeriodSeconds"] = json!(grace);
        }
        if request.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        let metadata = json!({"name": request.pod.name, "namespace": request.pod.namespace});
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata, "deleteOptions": options});
        let path = format!("{}/eviction", target.path);
        let query: &[(&str, &str)] = if request.dry_run { &[("dryRun", "All")] } else { &[] };
        let ask = Ask { operation, method: Method::POST, path: &path, query, body: Some(("application/json", eviction)), accept: "application/json" };
        let answer = self.rest.send(ask).await?.map_err(|failure| {
            if failure.is_budget() {
                let message = format!("a disruption budget leaves no room for an eviction now: {}", failure.message());
                return Error::new(ErrorKind::Refused, operation, message).with("pod", &request.pod);
            }
            failure.into_error(operation)
        })?;
        Ok(WriteOutcome { after: target.before.clone(), before: target.before, warnings: answer.warnings(), simulated: false })
    }

    async fn scale(&self, request: &ScaleRequest) -> Result<WriteOutcome> {
        let operation = "cluster.scale";
        let target = self.target(operation, &request.target, request.resource_version.as_deref()).await?;
        let mut body = json!({"spec": {"replicas": request.replicas}, "metadata": {"uid": target.before.uid()}});
        if let Some(version) = &request.resource_version {
            body["metadata"]["resourceVersion"] = json!(version);
        }
        let path = format!("{}/scale", target.path);
        let sent = self.send_patch(operation, &path, ("application/merge-patch+json", body), (&request.field_manager, request.dry_run)).await;
        let answer = sent.map_err(|e| match e.kind() {
            // The object was read a moment ago, so what is not found is the scale of its kind.
            ErrorKind::NotFound => Error::unsupported(operation, "this kind has no replica count").with("object", &request.target),
            _ => e,
        })?;
        let replicas = answer.json(operation)?["spec"]["replicas"].clone();
        let after = if request.dry_run { scaled(&target.before, replicas) } else { self.reread(operation, &target, replicas).await? };
        Ok(WriteOutcome { before: target.before, after, warnings: answer.warnings(), simulated: false })
    }

    /// The workload after it was scaled. If it vanished at once, as it was with the new count.
    async fn reread(&self, operation: &'static str, target: &Target, replicas: Value) -> Result<Object> {
        let found = self.get(operation, &target.before.reference()).await?;
        Ok(found.unwrap_or_else(|| scaled(&target.before, replicas)))
    }

    async fn can_i(&self, review: &AccessReview) -> Result<bool> {
        let operation = "cluster.can_i";
        let (resource, subresource) = review.resource.split_once('/').unwrap_or((&review.resource, ""));
        let mut attributes = json!({"verb": review.verb, "group": review.group, "resource": resource});
        for (key, value) in [("subresource", Some(subresource)), ("namespace", review.namespace.as_deref()), ("name", review.name.as_deref())] {
            if let Some(value) = value.filter(|v| !v.is_empty()) {
                attributes[key] = json!(value);
            }
        }
        let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let ask = Ask { operation, method: Method::POST, path, query: &[], body: Some(("application/json", body)), accept: "application/json" };
        Ok(self.rest.request(ask).await?.json(operation)?["status"]["allowed"] == true)
    }
}

fn scaled(before: &Object, replicas: Value) -> Object {
    let mut after = before.value().clone();
    if before.at("/spec/replicas") != Some(&replicas) {
        after["spec"]["replicas"] = replicas;
        if let Some(generation) = before.i64_at("/metadata/generation") {
            after["metadata"]["generation"] = json!(generation + 1);
        }
    }
    Object::new(after)
}

/// Puts uid and resource version into the patch, so that the server refuses it for any other object or version.
fn with_preconditions(request: &PatchRequest) -> Result<Value> {
    let wanted = [("uid", request.target.uid.as_deref()), ("resourceVersion", request.resource_version.as_deref())];
    let wanted = wanted.into_iter().filter_map(|(field, value)| Some((field, value?)));
    let mut body = request.body.clone();
    match (request.kind, &mut body) {
        (PatchKind::Json, Value::Array(operations)) => {
            // Not `test`: the server answers a failed one as if the patch itself were wrong.
            operations.extend(wanted.map(|(field, value)| json!({"op": "add", "path": format!("/metadata/{field}"), "value": value})));
        }
        (PatchKind::Merge | PatchKind::Strategic, Value::Object(map)) => {
            let metadata = map.entry("metadata").or_insert_with(|| json!({}));
            let metadata = metadata.as_object_mut().ok_or_else(|| Error::invalid("cluster.patch", "metadata of a patch must be a JSON object"))?;
            metadata.extend(wanted.map(|(field, value)| (field.to_owned(), json!(value))));
        }
        _ => return Err(Error::invalid("cluster.patch", "a JSON patch is a list of operations, any other patch is a JSON object")),
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: PatchKind, body: Value) -> PatchRequest {
        let target = ObjectRef::new("Deployment", Some("s"), "web").with_uid("u");
        PatchRequest { target, kind, body, resource_version: Some("7".into()), field_manager: "kubernaut".into(), dry_run: true }
    }

    #[test]
    fn preconditions_are_part_of_the_patch() {
        let merge = with_preconditions(&request(PatchKind::Merge, json!({"metadata": {"labels": {"a": "b"}}, "spec": {}}))).unwrap();
        assert_eq!(merge, json!({"metadata": {"labels": {"a": "b"}, "uid": "u", "resourceVersion": "7"}, "spec": {}}));
        let list = with_preconditions(&request(PatchKind::Json, json!([{"op": "remove", "path": "/spec/x"}]))).unwrap();
        let add = |field: &str, value: &str| json!({"op": "add", "path": format!("/metadata/{field}"), "value": value});
        assert_eq!(list, json!([{"op": "remove", "path": "/spec/x"}, add("uid", "u"), add("resourceVersion", "7")]));
        assert_eq!(with_preconditions(&request(PatchKind::Json, json!({}))).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
