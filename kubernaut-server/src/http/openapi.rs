//! The OpenAPI 3.1 document: paths from the routes, schemas from the types.

use kubernaut::{Report, model, service};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::{actions, alerts, approvals, control, incidents, runs};

#[derive(OpenApi)]
#[openapi(
    info(title = "Kubernaut", description = "From a Kubernetes alert to a verified fix.", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    tags(
        (name = "alerts", description = "The door for alerts"),
        (name = "incidents", description = "What is alerted, found, decided and done"),
        (name = "approvals", description = "A person's agreement"),
        (name = "runs", description = "Runs of plans"),
        (name = "actions", description = "What can be done"),
        (name = "control", description = "The global stop"),
        (name = "events", description = "Everything that happens, as a stream")
    )
)]
pub(super) struct ApiDoc;

/// An error as clients see it (RFC 9457).
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes the shape of problem documents")]
struct Problem {
    /// Identifies the kind.
    r#type: String,
    /// The kind in words.
    title: String,
    /// HTTP status.
    status: u16,
    /// What happened, with the value and the next step.
    detail: String,
    /// Stable kind, such as `invalid_input`.
    kind: String,
    /// Where it happened.
    operation: String,
}

/// Adds the schemas of all bodies to the document made from the routes.
pub(super) fn complete(document: &utoipa::openapi::OpenApi) -> Value {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    document["components"]["schemas"] = schemas();
    document["components"]["securitySchemes"] = json!({ "bearer": { "type": "http", "scheme": "bearer" } });
    document["security"] = json!([{ "bearer": [] }]);
    document
}

fn schemas() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|s| {
        s.definitions_path = "/components/schemas".into();
        s.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut all = serde_json::Map::new();
    add::<Problem>(&mut generator);
    add::<model::Incident>(&mut generator);
    add::<model::Event>(&mut generator);
    add::<model::Run>(&mut generator);
    add::<model::Approval>(&mut generator);
    add::<model::DryRun>(&mut generator);
    add::<model::Execution>(&mut generator);
    add::<model::Notification>(&mut generator);
    add::<service::Recalled>(&mut generator);
    add::<Report>(&mut generator);
    add::<alerts::Accepted>(&mut generator);
    add::<incidents::IncidentList>(&mut generator);
    add::<incidents::Timeline>(&mut generator);
    add::<incidents::AlertList>(&mut generator);
    add::<incidents::AuditChain>(&mut generator);
    add::<approvals::ApprovalList>(&mut generator);
    add::<approvals::DecideBody>(&mut generator);
    add::<approvals::EditBody>(&mut generator);
    add::<runs::RunList>(&mut generator);
    add::<runs::Journal>(&mut generator);
    add::<runs::SignalBody>(&mut generator);
    add::<actions::ActionList>(&mut generator);
    add::<actions::ActionBody>(&mut generator);
    add::<control::StopState>(&mut generator);
    for (name, schema) in generator.take_definitions(true) {
        all.insert(name, schema);
    }
    Value::Object(all)
}

fn add<T: JsonSchema>(generator: &mut SchemaGenerator) {
    generator.subschema_for::<T>();
}
