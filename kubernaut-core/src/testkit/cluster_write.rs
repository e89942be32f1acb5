//! The behaviour of every [`ClusterWrite`].

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    ClusterFixture,
    cluster_read::{pods, value_of},
};
use crate::{
    ErrorKind,
    model::{Object, ObjectRef},
    port::{
        AccessReview, ClusterRead, ClusterWrite, CopySecretRequest, CreateRequest, DeleteRequest, EvictRequest, ExecRequest, PatchKind, PatchRequest,
        Propagation, ScaleRequest,
    },
    service::CallContext,
};

/// Checks [`ClusterWrite::exec`] on a cluster whose containers really run.
///
/// # Panics
/// With the rule that does not hold.
pub async fn cluster_exec_suite(read: &dyn ClusterRead, write: &dyn ClusterWrite, fixture: &ClusterFixture) {
    let pod = pods(read, fixture, "web").await.into_iter().next().expect("the deployment has pods").reference();
    let request = |command: &str| ExecRequest {
        pod: pod.clone(),
        container: "side".into(),
        command: vec!["/bin/sh".into(), "-c".into(), command.into()],
        limit_bytes: 1000,
    };
    let said = write.exec(ctx(), request("printf out; printf err >&2; exit 3")).await.expect("the command runs");
    assert_eq!((said.exit_code, said.stdout.as_slice(), said.stderr.as_str()), (3, b"out".as_slice(), "err"), "code and output are given back");
    let kind = |refused: crate::Result<crate::port::ExecOutput>| refused.expect_err("it is refused").kind();
    let large = write.exec(ctx(), request("i=0; while [ $i -lt 300 ]; do echo 0123456789; i=$((i+1)); done")).await;
    assert_eq!(kind(large), ErrorKind::PayloadTooLarge, "more than the limit is an error");
    let successor = ExecRequest { pod: pod.clone().with_uid("another"), ..request("true") };
    assert_eq!(kind(write.exec(ctx(), successor).await), ErrorKind::Conflict, "another uid is a conflict");
    let missing = ExecRequest { command: vec!["/no/such/program".into()], ..request("true") };
    assert_eq!(kind(write.exec(ctx(), missing).await), ErrorKind::Unsupported, "a container without the program cannot run it");
}

/// Checks the rules of [`ClusterWrite`] on a cluster that holds the fixture; it changes it.
///
/// # Panics
/// With the rule that does not hold.
pub async fn cluster_write_suite(read: &dyn ClusterRead, write: &dyn ClusterWrite, fixture: &ClusterFixture) {
    let suite = Suite { read, write, fixture };
    suite.a_dry_run_changes_nothing().await;
    suite.each_kind_of_patch_changes_what_it_says().await;
    suite.preconditions_that_do_not_hold_are_conflicts().await;
    suite.what_cannot_be_patched_is_an_error().await;
    suite.scaling_changes_the_workload().await;
    suite.evictions_keep_budgets_and_uids().await;
    suite.a_new_object_is_there_once().await;
    suite.only_the_named_object_is_deleted().await;
    suite.a_secret_is_copied_without_being_seen().await;
    suite.rights_can_be_asked_for().await;
}

struct Suite<'a> {
    read: &'a dyn ClusterRead,
    write: &'a dyn ClusterWrite,
    fixture: &'a ClusterFixture,
}

fn ctx() -> CallContext {
    CallContext::system("suite")
}

impl Suite<'_> {
    fn web(&self) -> ObjectRef {
        self.fixture.reference("Deployment", "web")
    }

    fn front(&self) -> ObjectRef {
        self.fixture.reference("ConfigMap", "front")
    }

    fn request(&self, target: ObjectRef, kind: PatchKind, body: Value) -> PatchRequest {
        PatchRequest { target, kind, body, resource_version: None, field_manager: "kubernaut".into(), dry_run: false }
    }

    async fn current(&self, reference: &ObjectRef) -> Object {
        self.read.get(ctx(), reference.clone()).await.expect("get succeeds").expect("the object exists")
    }

    async fn a_dry_run_changes_nothing(&self) {
        let before = self.current(&self.front()).await;
        let request = self.request(self.front(), PatchKind::Merge, json!({"data": {"name": "changed", "new": "1"}}));
        let outcome = self.write.patch(ctx(), PatchRequest { dry_run: true, ..request }).await.expect("the dry-run succeeds");
        assert_eq!(outcome.after.at("/data"), Some(&json!({"name": "changed", "new": "1"})), "the answer is what would be stored");
        assert_eq!(outcome.before.at("/data"), before.at("/data"), "before is the object as it is");
        let after = self.current(&self.front()).await;
        assert_eq!((after.at("/data"), after.resource_version()), (before.at("/data"), before.resource_version()), "a dry-run changes nothing");
    }

    async fn each_kind_of_patch_changes_what_it_says(&self) {
        let image = self.fixture.image.clone();
        let strategic = json!({"metadata": {"annotations": {"suite/a": "1"}}, "spec": {"paused": true, "template": {"spec": {"containers": [
            {"name": "app", "env": [{"name": "SECOND", "value": "changed"}]}]}}}});
        let before = self.current(&self.web()).await;
        let outcome = self.write.patch(ctx(), self.request(self.web(), PatchKind::Strategic, strategic)).await.expect("the patch succeeds");
        let containers = outcome.after.list_at("/spec/template/spec/containers").to_vec();
        assert_eq!(containers.len(), 2, "a strategic patch leaves the other containers");
        assert_eq!(
            (&containers[0]["image"], &containers[0]["env"][0]["value"], &containers[0]["env"][1]["value"]),
            (&json!(image), &json!("1"), &json!("changed")),
            "lists merge by their key"
        );
        assert_ne!(outcome.after.resource_version(), before.resource_version(), "a change gives a new resource version");
        assert!(outcome.after.i64_at("/metadata/generation") > before.i64_at("/metadata/generation"), "a change of the spec gives a new generation");
        assert_eq!(value_of(self.read, &self.web(), "/spec/paused").await, Some(json!(true)), "a read after the write sees it");

        let merge = json!({"metadata": {"annotations": {"suite/a": null, "suite/b": "2"}}, "spec": {"paused": null}});
        let merged = self.write.patch(ctx(), self.request(self.web(), PatchKind::Merge, merge)).await.expect("the patch succeeds").after;
        assert_eq!(
            (merged.annotation("suite/a"), merged.annotation("suite/b"), merged.bool_at("/spec/paused")),
            (None, Some("2"), None),
            "null removes in a merge patch"
        );

        let list = json!([{"op": "replace", "path": "/data/name", "value": "json"}]);
        let listed = self.write.patch(ctx(), self.request(self.front(), PatchKind::Json, list)).await.expect("the patch succeeds").after;
        assert_eq!(listed.str_at("/data/name"), Some("json"), "a JSON patch applies its operations");
        let restore = json!({"data": {"name": "front"}});
        self.write.patch(ctx(), self.request(self.front(), PatchKind::Merge, restore)).await.expect("the patch succeeds");
    }

    async fn preconditions_that_do_not_hold_are_conflicts(&self) {
        let old = self.current(&self.front()).await;
        let touch = self.request(self.front(), PatchKind::Merge, json!({"metadata": {"annotations": {"suite/touched": "1"}}}));
        let exact = PatchRequest { target: old.reference(), resource_version: old.resource_version().map(str::to_owned), ..touch.clone() };
        self.write.patch(ctx(), exact.clone()).await.expect("a patch whose preconditions hold succeeds");
        let now = self.current(&self.front()).await;
        for (kind, body) in [
            (PatchKind::Merge, json!({"data": {"name": "x"}})),
            (PatchKind::Strategic, json!({"data": {"name": "x"}})),
            (PatchKind::Json, json!([{"op": "replace", "path": "/data/name", "value": "x"}])),
        ] {
            let stale = PatchRequest { kind, body: body.clone(), ..exact.clone() };
            let successor =
                PatchRequest { target: self.front().with_uid("00000000-0000-4000-8000-000000000000"), resource_version: None, ..stale.clone() };
            for request in [stale, successor] {
                for dry_run in [true, false] {
                    let refused = self.write.patch(ctx(), PatchRequest { dry_run, ..request.clone() }).await;
                    assert_eq!(
                        refused.expect_err("the precondition does not hold").kind(),
                        ErrorKind::Conflict,
                        "another version or uid is a conflict, {kind:?}"
                    );
                }
            }
        }
        assert_eq!(self.current(&self.front()).await, now, "a conflict changes nothing");
    }

    async fn what_cannot_be_patched_is_an_error(&self) {
        let absent = self.fixture.reference("Deployment", "absent");
        for (target, body, expected) in [
            (absent, json!({"spec": {"replicas": 1}}), ErrorKind::NotFound),
            (self.web(), json!({"spec": {"replicas": -1}}), ErrorKind::InvalidInput),
            (self.web(), json!({"spec": {"template": {"spec": {"containers": []}}}}), ErrorKind::InvalidInput),
        ] {
            let refused = self.write.patch(ctx(), self.request(target.clone(), PatchKind::Merge, body.clone())).await;
            assert_eq!(refused.expect_err("the server refuses it").kind(), expected, "patch of {target} with {body}");
        }
    }

    async fn scaling_changes_the_workload(&self) {
        let request = ScaleRequest { target: self.web(), replicas: 3, resource_version: None, field_manager: "kubernaut".into(), dry_run: true };
        let tried = self.write.scale(ctx(), request.clone()).await.expect("the dry-run succeeds");
        assert_eq!(
            (tried.before.i64_at("/spec/replicas"), tried.after.i64_at("/spec/replicas")),
            (Some(2), Some(3)),
            "before and after are the workload"
        );
        assert_eq!(tried.after.kind(), "Deployment", "the answer is the workload, not the scale");
        assert_eq!(value_of(self.read, &self.web(), "/spec/replicas").await, Some(json!(2)), "a dry-run changes nothing");
        let stale = ScaleRequest { resource_version: Some("1".into()), dry_run: false, ..request.clone() };
        assert_eq!(self.write.scale(ctx(), stale).await.expect_err("another version").kind(), ErrorKind::Conflict, "another version is a conflict");
        let successor = ScaleRequest { target: self.web().with_uid("another"), dry_run: false, ..request.clone() };
        assert_eq!(self.write.scale(ctx(), successor).await.expect_err("another uid").kind(), ErrorKind::Conflict, "another uid is a conflict");
        let done = self.write.scale(ctx(), ScaleRequest { dry_run: false, ..request.clone() }).await.expect("the scaling succeeds");
        assert_eq!(done.after.i64_at("/spec/replicas"), Some(3), "the workload has the wanted count");
        assert_eq!(value_of(self.read, &self.web(), "/spec/replicas").await, Some(json!(3)), "and keeps it");
        let none = ScaleRequest { target: self.front(), ..request };
        assert_eq!(
            self.write.scale(ctx(), none).await.expect_err("no count").kind(),
            ErrorKind::Unsupported,
            "a kind without a replica count cannot be scaled"
        );
    }

    async fn evictions_keep_budgets_and_uids(&self) {
        let pod = |r: ObjectRef, dry_run: bool| EvictRequest { pod: r, grace_period_s: Some(0), dry_run };
        let guarded = pods(self.read, self.fixture, "guarded").await.into_iter().next().expect("the guarded deployment has a pod").reference();
        let refused = self.write.evict(ctx(), pod(guarded.clone(), false)).await;
        assert_eq!(refused.expect_err("the budget has no room").kind(), ErrorKind::Refused, "a budget that leaves no room refuses");
        assert!(self.is_there(&guarded).await, "a refused eviction changes nothing");
        let other = pods(self.read, self.fixture, "web").await.into_iter().next().expect("the deployment has pods").reference();
        let successor = ObjectRef { uid: Some("another-uid".into()), ..other.clone() };
        assert_eq!(
            self.write.evict(ctx(), pod(successor, false)).await.expect_err("another uid").kind(),
            ErrorKind::Conflict,
            "another uid is a conflict"
        );
        let absent = self.fixture.reference("Pod", "absent");
        assert_eq!(
            self.write.evict(ctx(), pod(absent, false)).await.expect_err("no such pod").kind(),
            ErrorKind::NotFound,
            "an absent pod is not found"
        );
        self.write.evict(ctx(), pod(other.clone(), true)).await.expect("the dry-run succeeds");
        assert!(self.is_there(&other).await, "a dry-run changes nothing");
        let outcome = self.write.evict(ctx(), pod(other.clone(), false)).await.expect("the eviction succeeds");
        assert!(outcome.before.reference().same_object(&other), "before is the pod");
        for _ in 0..100 {
            if !self.is_there(&other).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("an evicted pod goes");
    }

    async fn a_new_object_is_there_once(&self) {
        let reference = self.fixture.reference("ConfigMap", "made");
        let object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "made", "namespace": self.fixture.namespace}, "data": {"a": "1"}});
        let request = CreateRequest { object, field_manager: "kubernaut".into(), dry_run: true };
        let tried = self.write.create(ctx(), request.clone()).await.expect("the dry-run succeeds");
        assert_eq!(tried.after.str_at("/data/a"), Some("1"), "the answer is what would be stored");
        assert!(self.read.get(ctx(), reference.clone()).await.expect("get succeeds").is_none(), "a dry-run changes nothing");
        let made = self.write.create(ctx(), CreateRequest { dry_run: false, ..request.clone() }).await.expect("the creation succeeds").after;
        assert!(
            made.uid().is_some() && made.resource_version().is_some() && made.created_at().is_some(),
            "the server gives it an identity: {made:?}"
        );
        assert_eq!(value_of(self.read, &reference, "/data/a").await, Some(json!("1")), "a read after the write sees it");
        for dry_run in [true, false] {
            let again = self.write.create(ctx(), CreateRequest { dry_run, ..request.clone() }).await;
            assert_eq!(again.expect_err("it exists").kind(), ErrorKind::Conflict, "what exists is not created again");
        }
        let mut empty = self.current(&self.web()).await.value().clone();
        empty["metadata"] = json!({"name": "empty", "namespace": self.fixture.namespace});
        empty["spec"]["template"]["spec"]["containers"] = json!([]);
        for object in [empty, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": self.fixture.namespace}})] {
            let refused = self.write.create(ctx(), CreateRequest { object, field_manager: "kubernaut".into(), dry_run: false }).await;
            assert_eq!(refused.expect_err("the content is bad").kind(), ErrorKind::InvalidInput, "bad content is refused");
        }
    }

    async fn only_the_named_object_is_deleted(&self) {
        let made = self.current(&self.fixture.reference("ConfigMap", "made")).await;
        let request = DeleteRequest {
            target: made.reference(),
            resource_version: made.resource_version().map(str::to_owned),
            grace_period_s: None,
            propagation: Propagation::Background,
            dry_run: true,
        };
        self.write.delete(ctx(), request.clone()).await.expect("the dry-run succeeds");
        assert_eq!(self.current(&made.reference()).await, made, "a dry-run changes nothing");
        let successor = made.reference().with_uid("00000000-0000-4000-8000-000000000000");
        for wrong in [
            DeleteRequest { target: successor, dry_run: false, ..request.clone() },
            DeleteRequest { resource_version: Some("1".into()), dry_run: false, ..request.clone() },
        ] {
            assert_eq!(
                self.write.delete(ctx(), wrong).await.expect_err("another one").kind(),
                ErrorKind::Conflict,
                "another uid or version is a conflict"
            );
        }
        assert_eq!(self.current(&made.reference()).await, made, "a conflict changes nothing");
        let done = self.write.delete(ctx(), DeleteRequest { dry_run: false, ..request.clone() }).await.expect("the deletion succeeds");
        assert_eq!(done.before, made, "before is the object");
        assert!(self.read.get(ctx(), made.reference()).await.expect("get succeeds").is_none(), "a deleted object is gone");
        let again = self.write.delete(ctx(), DeleteRequest { dry_run: false, ..request }).await;
        assert_eq!(again.expect_err("it is gone").kind(), ErrorKind::NotFound, "what is gone is not found");
        let pod = pods(self.read, self.fixture, "guarded").await.into_iter().next().expect("the guarded deployment has a pod").reference();
        let forced = DeleteRequest {
            target: pod.clone(),
            resource_version: None,
            grace_period_s: Some(0),
            propagation: Propagation::Background,
            dry_run: false,
        };
        self.write.delete(ctx(), forced).await.expect("a deletion asks no budget");
        assert!(!self.is_there(&pod).await, "a pod without time to stop is gone at once");
    }

    async fn a_secret_is_copied_without_being_seen(&self) {
        let (source, target) = (self.fixture.reference("Secret", "token"), self.fixture.reference("Secret", "token-copy"));
        let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token-copy", "namespace": self.fixture.namespace, "labels": {"suite": "copy"}}});
        let request = CopySecretRequest { source, object, replace: false, field_manager: "kubernaut".into(), dry_run: true };
        self.write.copy_secret(ctx(), request.clone()).await.expect("the dry-run succeeds");
        assert!(self.read.get(ctx(), target.clone()).await.expect("get succeeds").is_none(), "a dry-run changes nothing");
        let made = self.write.copy_secret(ctx(), CopySecretRequest { dry_run: false, ..request.clone() }).await.expect("the copy succeeds").after;
        assert_eq!(made.at("/data"), Some(&json!({"a": "", "b": ""})), "the keys are there and no value is shown");
        assert_eq!(made.label("suite"), Some("copy"), "it has the metadata that was given");
        let again = self.write.copy_secret(ctx(), CopySecretRequest { dry_run: false, ..request.clone() }).await;
        assert_eq!(again.expect_err("it exists").kind(), ErrorKind::Conflict, "an existing Secret is not overwritten unasked");
        self.write.copy_secret(ctx(), CopySecretRequest { dry_run: false, replace: true, ..request.clone() }).await.expect("it may be replaced");
        let absent = CopySecretRequest { source: self.fixture.reference("Secret", "absent"), ..request };
        assert_eq!(self.write.copy_secret(ctx(), absent).await.expect_err("no source").kind(), ErrorKind::NotFound, "an absent source is not found");
    }

    /// Whether that very pod is there and not on its way out.
    async fn is_there(&self, pod: &ObjectRef) -> bool {
        let found = self.read.get(ctx(), pod.clone()).await.expect("get succeeds");
        found.is_some_and(|p| p.at("/metadata/deletionTimestamp").is_none())
    }

    async fn rights_can_be_asked_for(&self) {
        let review = AccessReview {
            verb: "patch".into(),
            group: "apps".into(),
            resource: "deployments".into(),
            namespace: Some(self.fixture.namespace.clone()),
            name: None,
        };
        assert!(self.write.can_i(ctx(), review).await.expect("the review succeeds"), "the suite runs with the rights that it needs");
        let eviction = AccessReview {
            verb: "create".into(),
            group: String::new(),
            resource: "pods/eviction".into(),
            namespace: Some(self.fixture.namespace.clone()),
            name: None,
        };
        assert!(self.write.can_i(ctx(), eviction).await.expect("the review succeeds"), "a subresource can be asked for");
    }
}
