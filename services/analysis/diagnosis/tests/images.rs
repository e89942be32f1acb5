//! Images and what the kubelet says about them.

mod support;

use serde_json::json;
use support::*;

const NOT_FOUND: &str = "Back-off pulling image \"r.acme.io/app:9\": ErrImagePull: rpc error: code = NotFound desc = failed to resolve reference \"r.acme.io/app:9\": r.acme.io/app:9: not found";
const REFUSED: &str = "failed to pull image: failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://r.acme.io/token: 401 Unauthorized";

#[tokio::test]
async fn a_tag_that_a_release_brought_is_taken_back() {
    let mut w = World::new("web");
    w.deploy(
        deploy("app", spec(container("app", "r.acme.io/app:8")))
            .then(20, spec(container("app", "r.acme.io/app:9")))
            .replicas(2)
            .old_ready(2)
            .pods(Pods::Waiting("ImagePullBackOff", NOT_FOUND.into())),
    );
    let a = w.diagnose("Deployment/web/app").await;
    expect(&a, "image_not_found", "Deployment/web/app", "rollback_deployment", "Deployment/web/app");
}

#[tokio::test]
async fn a_tag_that_never_existed_is_for_a_person() {
    let mut w = World::new("web");
    w.deploy(deploy("app", spec(container("app", "r.acme.io/app:9"))).since(20).pods(Pods::Waiting("ErrImagePull", NOT_FOUND.into())));
    let a = w.diagnose("Pod/web/app-h0-p0").await;
    expect(&a, "image_not_found", "Deployment/web/app", "fix_image_reference", "Deployment/web/app");
    assert!(!holds(&a));
}

#[tokio::test]
async fn a_slip_of_the_pen_is_corrected_from_what_nodes_hold() {
    let mut w = World::new("web");
    w.node("ip-10-1", json!({"status": {"images": [{"names": ["hub.acme.io/library/nginx:1.27"]}]}}));
    w.deploy(deploy("app", spec(container("app", "hub.acme.io/library/ngnix:1.27"))).since(20).pods(Pods::Waiting(
        "ImagePullBackOff",
        "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed".into(),
    )));
    let a = w.diagnose("Pod/web/app-h0-p0").await;
    expect(&a, "image_not_found", "Deployment/web/app", "fix_image_reference", "Deployment/web/app");
    assert_eq!(param(&a, "/image"), "hub.acme.io/library/nginx:1.27");
    assert!(holds(&a));
}

#[tokio::test]
async fn a_lost_pull_secret_is_copied_from_its_template() {
    let mut w = World::new("web");
    let mut s = spec(container("app", "r.acme.io/app:9"));
    s["imagePullSecrets"] = json!([{"name": "acme-pull"}]);
    w.deploy(deploy("app", s).replicas(2).pods(Pods::Waiting("ImagePullBackOff", REFUSED.into())));
    let escalated = w.diagnose("Pod/web/app-h0-p0").await;
    expect(&escalated, "image_pull_auth", "Secret/web/acme-pull", "recreate_pull_secret", "Secret/web/acme-pull");
    assert!(!holds(&escalated));
    w.put(json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "metadata": {"name": "acme-pull", "namespace": "shared"}}));
    let a = w.diagnose("Pod/web/app-h0-p0").await;
    assert_eq!(param(&a, "/copy_from"), "shared/acme-pull");
    assert!(holds(&a));
}

#[tokio::test]
async fn credentials_that_exist_and_are_refused_are_not_overwritten() {
    let mut w = World::new("web");
    let mut s = spec(container("app", "r.acme.io/app:9"));
    s["imagePullSecrets"] = json!([{"name": "acme-pull"}]);
    w.object("v1", "Secret", "acme-pull", json!({"type": "kubernetes.io/dockerconfigjson"}));
    w.deploy(deploy("app", s).pods(Pods::Waiting("ErrImagePull", REFUSED.into())));
    let a = w.diagnose("Pod/web/app-h0-p0").await;
    assert_eq!(a.candidates[0].category.as_str(), "image_pull_auth");
    assert!(!holds(&a));
}

#[tokio::test]
async fn a_binary_for_another_processor_goes_where_it_runs() {
    let mut w = World::new("web");
    w.node("ip-10-1", json!({"metadata": {"labels": {"kubernetes.io/arch": "arm64"}}}));
    w.deploy(deploy("app", spec(container("app", "r.acme.io/app:9"))).pods(Pods::Crash(255, "Error", 0)));
    w.log("app-h0-p0", "app", "exec /usr/local/bin/app: exec format error");
    let a = w.diagnose("Pod/web/app-h0-p0").await;
    expect(&a, "image_arch_mismatch", "Deployment/web/app", "patch_node_selector", "Deployment/web/app");
    assert_eq!(param(&a, "/node_selector/kubernetes.io~1arch"), "amd64");
}

#[tokio::test]
async fn an_image_without_the_platform_goes_back_with_its_release() {
    let mut w = World::new("web");
    let message = "failed to pull and unpack image: no match for platform in manifest: not found";
    w.deploy(
        deploy("app", spec(container("app", "r.acme.io/app:8")))
            .then(20, spec(container("app", "r.acme.io/app:9")))
            .pods(Pods::Waiting("ImagePullBackOff", message.into())),
    );
    let a = w.diagnose("Pod/web/app-h1-p0").await;
    expect(&a, "image_arch_mismatch", "Deployment/web/app", "rollback_deployment", "Deployment/web/app");
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_for_a_person() {
    let mut w = World::new("web");
    let message = "failed to do request: Head \"https://r.acme.io/v2/app/manifests/9\": dial tcp: lookup r.acme.io on 10.0.0.2:53: no such host";
    w.deploy(
        deploy("app", spec(container("app", "r.acme.io/app:8")))
            .then(20, spec(container("app", "r.acme.io/app:9")))
            .old_ready(1)
            .pods(Pods::Waiting("ImagePullBackOff", message.into())),
    );
    let a = w.diagnose("Pod/web/app-h1-p0").await;
    assert_eq!(a.actions[0].action, "escalate", "{a:#?}");
}
