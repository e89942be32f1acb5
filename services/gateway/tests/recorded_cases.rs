//! Targets of recorded incidents: every folder of `KUBERNAUT_CASES/bundles`, graded against `KUBERNAUT_CASES/expected`.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;
use kubernaut_cluster::BundleCluster;
use kubernaut_core::{
    port::{Ledger, ManualClock},
    service::CallContext,
};
use kubernaut_gateway::{Gateway, GatewayConfig};
use kubernaut_storage::{SqliteConfig, SqliteLedger};

/// The lines that an expectation file has for one key: its value, or the items of its list.
fn expected(text: &str, key: &str) -> Vec<String> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&format!("{key}:")));
    let Some(first) = lines.next() else {
        return Vec::new();
    };
    let value = first[key.len() + 1..].trim();
    if !value.is_empty() {
        return vec![value.to_owned()];
    }
    lines.map_while(|line| line.trim_start().strip_prefix("- ").map(str::to_owned)).collect()
}

async fn targets_of(dir: &Path) -> Vec<(String, String, bool)> {
    let bundle = BundleCluster::open(dir).expect("the bundle opens");
    let clock = Arc::new(ManualClock::at(bundle.taken_at()));
    let ledger = Arc::new(SqliteLedger::open(SqliteConfig::memory(), clock.clone()).await.expect("a ledger in memory"));
    let body = Bytes::copy_from_slice(bundle.alert_json().expect("the bundle has its webhook"));
    let gateway = Gateway::new(ledger.clone(), Arc::new(bundle), clock, GatewayConfig::default());
    let received = gateway.receive(CallContext::system("test"), "alertmanager", &HeaderMap::new(), body).await.expect("the webhook is taken");
    let mut targets = Vec::new();
    let incidents: BTreeSet<_> = received.results.iter().filter_map(|result| result.incident_id).collect();
    for incident in incidents {
        let alerts = ledger.alerts(CallContext::system("test"), incident).await.expect("alerts of the incident");
        targets.extend(alerts.into_iter().map(|alert| (alert.target.to_string(), alert.owner.to_string(), alert.owner_resolved)));
    }
    targets
}

#[tokio::test]
#[ignore = "needs KUBERNAUT_CASES: a folder with bundles/ and expected/"]
async fn targets_are_as_expected() {
    let root = std::env::var("KUBERNAUT_CASES").expect("KUBERNAUT_CASES names the folder");
    let mut wrong = Vec::new();
    let mut cases = 0;
    for entry in fs::read_dir(Path::new(&root).join("bundles")).expect("bundles/ is there") {
        let dir = entry.expect("a folder").path();
        let id = dir.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(Path::new(&root).join("expected").join(format!("{id}.yaml"))).expect("the case has an expectation");
        let found = targets_of(&dir).await;
        let has = |wanted: &String| found.iter().any(|(target, _, resolved)| target == wanted && *resolved);
        let first: Vec<String> = expected(&text, "alert_target").into_iter().chain(expected(&text, "alert_target_accept")).collect();
        let further = expected(&text, "further_alert_targets");
        if !first.iter().any(has) || !further.iter().all(has) {
            wrong.push(format!("{id}: wanted {first:?} and {further:?}, found {found:?}"));
        }
        cases += 1;
    }
    assert!(cases > 0 && wrong.is_empty(), "{} of {cases} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
