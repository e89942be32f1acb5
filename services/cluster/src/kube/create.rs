//! Objects that come and go.

use http::{Method, StatusCode};
use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Object, ObjectRef},
    port::{CopySecretRequest, CreateRequest, DeleteRequest, WriteOutcome},
};
use serde_json::{Map, Value, json};

use super::{Inner, needs_namespace, object, rest::Ask};

impl Inner {
    pub(super) async fn create(&self, operation: &'static str, request: &CreateRequest) -> Result<WriteOutcome> {
        let asked = Object::new(request.object.clone());
        let reference = asked.reference();
        if asked.api_version().is_empty() || reference.kind.is_empty() || reference.name.is_empty() {
            return Err(Error::invalid(operation, "a new object needs apiVersion, kind and metadata.name").with("object", &reference));
        }
        let resource = self.resource(operation, &reference).await?;
        if resource.namespaced && reference.namespace.is_none() {
            return Err(needs_namespace(operation, &reference));
        }
        let bad_name = || Error::invalid(operation, "no namespace can have that name").with("object", &reference);
        let path = resource.collection(reference.namespace.as_deref()).ok_or_else(bad_name)?;
        let mut query = vec![("fieldManager", request.field_manager.as_str()), ("fieldValidation", "Strict")];
        if request.dry_run {
            query.push(("dryRun", "All"));
        }
        let body = Some(("application/json", request.object.clone()));
        let answer = self.rest.request(Ask { operation, method: Method::POST, path: &path, query: &query, body, accept: "application/json" }).await?;
        let after = object(answer.json(operation)?, &resource);
        Ok(WriteOutcome { before: after.clone(), after, warnings: answer.warnings(), simulated: false })
    }

    pub(super) async fn delete(&self, request: &DeleteRequest) -> Result<WriteOutcome> {
        let operation = "cluster.delete";
        let target = self.target(operation, &request.target, request.resource_version.as_deref()).await?;
        let mut preconditions = json!({"uid": target.before.uid()});
        if let Some(version) = &request.resource_version {
            preconditions["resourceVersion"] = json!(version);
        }
        let mut options =
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions, "propagationPolicy": request.propagation.as_str()});
        if let Some(grace) = request.grace_period_s {
            options["gracePeriodSeconds"] = json!(grace);
        }
        if request.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        let body = Some(("application/json", options));
        let ask = Ask { operation, method: Method::DELETE, path: &target.path, query: &[], body, accept: "application/json" };
        let answer = self.rest.request(ask).await?;
        Ok(WriteOutcome { after: target.before.clone(), before: target.before, warnings: answer.warnings(), simulated: false })
    }

    /// The values are in this function and in what it sends, nowhere else.
    pub(super) async fn copy_secret(&self, request: CopySecretRequest) -> Result<WriteOutcome> {
        let operation = "cluster.copy_secret";
        let source = self.secret(operation, &request.source).await?;
        let missing = || Error::not_found(operation, "the Secret to copy does not exist").with("object", &request.source);
        let source = source.ok_or_else(missing)?;
        let uid = source["metadata"]["uid"].as_str();
        if request.source.uid.as_deref().is_some_and(|wanted| uid != Some(wanted)) {
            return Err(Error::conflict(operation, "another object of that name has taken its place").with("object", &request.source));
        }
        let mut made = request.object;
        made["data"] = source["data"].clone();
        if made["type"].is_null() {
            made["type"] = source["type"].clone();
        }
        let reference = Object::new(json!({"apiVersion": "v1", "kind": "Secret", "metadata": made["metadata"]})).reference();
        match self.secret(operation, &reference).await?.filter(|_| request.replace) {
            None => self.create(operation, &CreateRequest { object: made, field_manager: request.field_manager, dry_run: request.dry_run }).await,
            Some(existing) => self.replace_secret(operation, &reference, existing, made, (&request.field_manager, request.dry_run)).await,
        }
    }

    async fn replace_secret(
        &self,
        operation: &'static str,
        reference: &ObjectRef,
        existing: Value,
        made: Value,
        how: (&str, bool),
    ) -> Result<WriteOutcome> {
        let resource = self.resource(operation, reference).await?;
        let path = resource.object(reference.namespace.as_deref(), &reference.name).ok_or_else(|| needs_namespace(operation, reference))?;
        let keys = |secret: &Value| secret["data"].as_object().cloned().unwrap_or_else(Map::new);
        let mut data = keys(&made);
        for key in keys(&existing).into_iter().map(|(key, _)| key) {
            data.entry(key).or_insert(Value::Null);
        }
        let mut metadata = json!({"uid": existing["metadata"]["uid"], "resourceVersion": existing["metadata"]["resourceVersion"]});
        for part in ["labels", "annotations"] {
            if !made["metadata"][part].is_null() {
                metadata[part] = made["metadata"][part].clone();
            }
        }
        let body = json!({"metadata": metadata, "data": data});
        let answer = self.send_patch(operation, &path, ("application/merge-patch+json", body), how).await?;
        let after = object(answer.json(operation)?, &resource);
        Ok(WriteOutcome { before: object(existing, &resource), after, warnings: answer.warnings(), simulated: false })
    }

    /// A Secret with its values; `None` if there is none.
    async fn secret(&self, operation: &'static str, reference: &ObjectRef) -> Result<Option<Value>> {
        if reference.kind != "Secret" || !reference.group.is_empty() {
            return Err(Error::invalid(operation, "only Secrets are copied").with("object", reference));
        }
        let resource = self.resource(operation, reference).await?;
        let path = resource.object(reference.namespace.as_deref(), &reference.name).ok_or_else(|| needs_namespace(operation, reference))?;
        match self.rest.send(Ask::get(operation, &path, &[])).await? {
            Ok(answer) => Ok(Some(answer.json(operation)?)),
            Err(failure) if failure.code == StatusCode::NOT_FOUND => Ok(None),
            Err(failure) => Err(failure.into_error(operation)),
        }
    }
}

/// An exec of a container answers through a `Status`; how it ended is in there.
pub(super) fn exit_code(status: &Value) -> Result<i32> {
    let causes = status["details"]["causes"].as_array().map_or(&[][..], Vec::as_slice);
    let code = causes.iter().find(|c| c["reason"] == "ExitCode").and_then(|c| c["message"].as_str()?.parse().ok());
    let message = status["message"].as_str().unwrap_or_default();
    match (status["status"].as_str(), code) {
        (Some("Success"), _) => Ok(0),
        (_, Some(code)) => Ok(code),
        _ if message.contains("not found") || message.contains("no such file") => {
            Err(Error::unsupported("cluster.exec", "the container has no such program").with("said", first_line(message)))
        }
        _ => Err(Error::new(ErrorKind::Unavailable, "cluster.exec", "the command could not be run").with("said", first_line(message))),
    }
}

fn first_line(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    line.char_indices().nth(300).map_or(line, |(at, _)| &line[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_command_is_told_from_a_command_that_never_ran() {
        let failed = json!({"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}});
        assert_eq!((exit_code(&failed).unwrap(), exit_code(&json!({"status": "Success"})).unwrap()), (3, 0));
        let kind = |message: &str| exit_code(&json!({"status": "Failure", "message": message})).unwrap_err().kind();
        assert_eq!(kind("exec: \"jmap\": executable file not found in $PATH"), ErrorKind::Unsupported);
        assert_eq!(kind("error dialing backend"), ErrorKind::Unavailable);
    }
}
