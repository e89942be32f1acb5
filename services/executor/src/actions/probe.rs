//! Probes of one container.

use kubernaut_core::{Error, ErrorKind, Result, model::Precondition};
use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::container::{Chosen, TEMPLATE, choose, given, ready_for_change};
use crate::{
    action::{Action, Current, Write, bad_params, condition, typed},
    edit::Edit,
};

const OPERATION: &str = "executor.probe";
const HANDLERS: [&str; 3] = ["httpGet", "tcpSocket", "grpc"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
enum Probe {
    #[serde(rename = "liveness", alias = "livenessProbe")]
    Liveness,
    #[serde(rename = "readiness", alias = "readinessProbe")]
    Readiness,
    #[serde(rename = "startup", alias = "startupProbe")]
    Startup,
}

impl Probe {
    fn field(self) -> &'static str {
        match self {
            Self::Liveness => "livenessProbe",
            Self::Readiness => "readinessProbe",
            Self::Startup => "startupProbe",
        }
    }
}

/// A port by number or by the name that the container gives it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Port {
    Number(#[schemars(range(min = 1, max = 65535))] u16),
    Name(#[schemars(length(min = 1, max = 15), regex(pattern = r"^[a-z0-9-]*[a-z][a-z0-9-]*$"))] String),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProbeParams {
    /// Name of the container; may be left out where the workload has only one.
    #[schemars(length(min = 1, max = 63))]
    container: Option<String>,
    /// Which probe.
    #[schemars(regex(pattern = "^(liveness|readiness|startup)(Probe)?$"), with = "String")]
    probe: Probe,
    /// The whole probe as it was in an earlier revision; null if there was none. What else is given is set on top of it.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<Map<String, Value>>")]
    restore: Option<Option<Map<String, Value>>>,
    /// Port to ask.
    port: Option<Port>,
    /// Path to ask; HTTP probes only.
    #[schemars(length(max = 1000), regex(pattern = "^/"))]
    path: Option<String>,
    /// Seconds before the first try.
    #[serde(rename = "initialDelaySeconds", alias = "initial_delay_seconds")]
    #[schemars(range(min = 0, max = 3600))]
    initial_delay: Option<u32>,
    /// Seconds between tries.
    #[serde(rename = "periodSeconds", alias = "period_seconds")]
    #[schemars(range(min = 1, max = 3600))]
    period: Option<u32>,
    /// Seconds to wait for an answer.
    #[serde(rename = "timeoutSeconds", alias = "timeout_seconds")]
    #[schemars(range(min = 1, max = 600))]
    timeout: Option<u32>,
    /// Failures in a row that count.
    #[serde(rename = "failureThreshold", alias = "failure_threshold")]
    #[schemars(range(min = 1, max = 100))]
    failures: Option<u32>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static PATCH_PROBE: Action = Action {
    name: "patch_probe",
    summary: "corrects a probe of one container",
    preconditions: &["rollouts of the workload are not paused", "the probe exists", "a port given by name is declared"],
    parameters: || schema_for!(ProbeParams),
    check,
    plan,
    ..TEMPLATE
};

fn read<'a>(current: &'a Current, params: &Value) -> Result<(Chosen<'a>, ProbeParams)> {
    let params: ProbeParams = typed(params)?;
    let timings = [params.initial_delay, params.period, params.timeout, params.failures];
    if params.restore.is_none() && params.port.is_none() && params.path.is_none() && timings.iter().all(Option::is_none) {
        return Err(bad_params("give restore, or at least one value to set"));
    }
    Ok((choose(&current.target, params.container.as_deref())?, params))
}

fn check(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let (chosen, params) = read(current, params)?;
    let (name, field) = (chosen.name, params.probe.field());
    let mut all = ready_for_change(current);
    let exists = params.restore.is_some() || chosen.value[field].is_object();
    all.push(condition(exists, format!("container {name} has {} {field}", if exists { "a" } else { "no" })));
    if let Some(Port::Name(port)) = &params.port {
        let declared = chosen.value["ports"].as_array().is_some_and(|ports| ports.iter().any(|p| p["name"] == port.as_str()));
        all.push(condition(declared, format!("container {name} declares {} port named {port}", if declared { "a" } else { "no" })));
    }
    Ok(all)
}

/// The probe as it should be; `None` for none.
fn wanted(params: &ProbeParams, now: &Value) -> Result<Option<Value>> {
    let mut probe = match &params.restore {
        Some(None) => return Ok(None),
        Some(Some(before)) => Value::Object(before.clone()),
        None => now.clone(),
    };
    if !probe.is_object() {
        return Err(Error::new(ErrorKind::Refused, OPERATION, "the container has no such probe").with("probe", params.probe.field()));
    }
    let handler = HANDLERS.into_iter().find(|h| probe[*h].is_object());
    match (handler, &params.port, &params.path) {
        (_, None, None) => {}
        (Some("grpc"), Some(Port::Name(_)), _) => return Err(bad_params("a grpc probe takes a port number only")),
        (Some(handler), Some(port), None) => probe[handler]["port"] = json!(port),
        (Some("httpGet"), port, Some(path)) => {
            probe["httpGet"]["path"] = json!(path);
            if let Some(port) = port {
                probe["httpGet"]["port"] = json!(port);
            }
        }
        _ => return Err(bad_params("only httpGet has a path, and only httpGet, tcpSocket and grpc have a port")),
    }
    let timings = [
        ("initialDelaySeconds", params.initial_delay),
        ("periodSeconds", params.period),
        ("timeoutSeconds", params.timeout),
        ("failureThreshold", params.failures),
    ];
    for (field, value) in timings {
        if let Some(value) = value {
            probe[field] = json!(value);
        }
    }
    Ok(Some(probe))
}

fn plan(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let (chosen, params) = read(current, params)?;
    let field = params.probe.field();
    let probe = wanted(&params, &chosen.value[field])?;
    let mut edit = Edit::of(&current.target);
    edit.rests_on(format!("{}/name", chosen.at));
    edit.set(&format!("{}/{field}", chosen.at), probe);
    Ok(edit.finish(|| format!("the {field} of container {} is as wanted already", chosen.name)))
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::Object;

    use super::*;

    fn world() -> Current {
        let app = json!({"name": "app", "ports": [{"containerPort": 80, "name": "web"}], "readinessProbe": {"httpGet": {"port": 81, "path": "/", "scheme": "HTTPS"}, "periodSeconds": 3},
            "livenessProbe": {"exec": {"command": ["true"]}}});
        Current {
            target: Object::new(json!({"kind": "Deployment", "spec": {"template": {"spec": {"containers": [app]}}}})),
            related: Default::default(),
        }
    }

    fn after(params: Value) -> Result<Value> {
        Ok(match plan(&world(), &params, "k")? {
            Write::Patch { body, .. } => body[0].clone(),
            _ => Value::Null,
        })
    }

    #[test]
    fn only_the_given_parts_of_a_probe_change() {
        let done = after(json!({"probe": "readiness", "port": "web", "path": "/ready", "timeoutSeconds": 5})).unwrap();
        assert_eq!(done["value"], json!({"httpGet": {"port": "web", "path": "/ready", "scheme": "HTTPS"}, "periodSeconds": 3, "timeoutSeconds": 5}));
        assert!(after(json!({"probe": "readinessProbe", "port": 81})).unwrap().is_null(), "as it is");
        assert_eq!(after(json!({"probe": "startup", "restore": {"tcpSocket": {"port": 80}}, "port": 80})).unwrap()["op"], "add");
        assert_eq!(after(json!({"probe": "liveness", "restore": null})).unwrap()["op"], "remove");
    }

    #[test]
    fn what_a_probe_does_not_have_is_refused() {
        let holds = |params| check(&world(), &params).unwrap().iter().all(|c| c.holds);
        assert!(holds(json!({"probe": "readiness", "port": "web"})));
        assert!(!holds(json!({"probe": "readiness", "port": "grpc"})), "not declared");
        assert!(!holds(json!({"probe": "startup", "port": 80})), "no such probe");
        for wrong in [json!({"probe": "liveness", "port": 80}), json!({"probe": "startup", "port": 80}), json!({"probe": "readiness"})] {
            assert!(after(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
