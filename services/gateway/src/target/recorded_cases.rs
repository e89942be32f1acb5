//! Targets of recorded incidents: every folder of `KUBERNAUT_CASES/bundles`, graded against `KUBERNAUT_CASES/expected`.

use std::{fs, path::Path, sync::Arc};

use kubernaut_cluster::BundleCluster;
use kubernaut_core::service::CallContext;

use super::{Resolution, Targets};
use crate::{SourceKind, TargetConfig, sources};

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

async fn targets_of(dir: &Path) -> Vec<Resolution> {
    let bundle = BundleCluster::open(dir).unwrap();
    let batch = sources::parse(SourceKind::Alertmanager, bundle.alert_json().unwrap()).unwrap();
    let targets = Targets::new(Arc::new(bundle), &TargetConfig::default());
    let mut found = Vec::new();
    for alert in batch.alerts {
        let alert = alert.unwrap();
        found.push(targets.by_labels(&CallContext::system("test"), &alert.labels, &alert.name).await);
    }
    found
}

#[tokio::test]
#[ignore = "needs KUBERNAUT_CASES: a folder with bundles/ and expected/"]
async fn targets_of_recorded_incidents_are_as_expected() {
    let root = std::env::var("KUBERNAUT_CASES").expect("KUBERNAUT_CASES names the folder");
    let (mut wrong, mut cases) = (Vec::new(), 0);
    for entry in fs::read_dir(Path::new(&root).join("bundles")).unwrap() {
        let dir = entry.unwrap().path();
        let id = dir.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(Path::new(&root).join("expected").join(format!("{id}.yaml"))).unwrap();
        let found = targets_of(&dir).await;
        let has = |wanted: &String| found.iter().any(|resolution| resolution.target.to_string() == *wanted && resolution.owner_resolved);
        let first: Vec<String> = expected(&text, "alert_target").into_iter().chain(expected(&text, "alert_target_accept")).collect();
        let further = expected(&text, "further_alert_targets");
        if !first.iter().any(has) || !further.iter().all(has) {
            wrong.push(format!("{id}: wanted {first:?} and {further:?}, found {found:?}"));
        }
        cases += 1;
    }
    assert!(cases > 0 && wrong.is_empty(), "{} of {cases} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
