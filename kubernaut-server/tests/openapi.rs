//! The OpenAPI document that is committed is the one that the code gives. `cargo xtask gen` writes it anew.

use std::path::Path;

use kubernaut_server::http::openapi_document;

#[test]
fn the_committed_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let current = serde_json::to_string_pretty(&openapi_document()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == current, "kubernaut-server/openapi.json is not what the code gives; run `cargo xtask gen`");
}
