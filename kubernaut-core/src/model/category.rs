//! Root-cause categories.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;

macro_rules! categories {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What kind of cause; the vocabulary shared by diagnosis, models, history and evaluation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[non_exhaustive]
        pub enum Category {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Category {
            /// All categories.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

categories! {
    /// The last template change broke command or arguments.
    BadReleaseCommand = "bad_release_command";
    /// The last template change broke an environment variable.
    BadReleaseEnv = "bad_release_env";
    /// The last template change added a harmful volume, script or setting.
    BadReleaseConfig = "bad_release_config";
    /// The image reference does not exist in the registry.
    ImageNotFound = "image_not_found";
    /// The registry refuses for lack of credentials.
    ImagePullAuth = "image_pull_auth";
    /// The image has no manifest for the node's platform.
    ImageArchMismatch = "image_arch_mismatch";
    /// Killed for memory while the need is bounded.
    OomLimitTooLow = "oom_limit_too_low";
    /// Killed for memory with growth that does not end.
    MemoryLeak = "memory_leak";
    /// A correct fix is reverted by another manager.
    ExternalDrift = "external_drift";
    /// A referenced ConfigMap, or a key of it, is absent.
    MissingConfigmap = "missing_configmap";
    /// A referenced Secret, or a key of it, is absent.
    MissingSecret = "missing_secret";
    /// The Secret is present but its content is refused.
    BadCredentials = "bad_credentials";
    /// The content of a ConfigMap is invalid.
    ConfigError = "config_error";
    /// The liveness probe is wrong and the process healthy.
    LivenessProbeMisconfig = "liveness_probe_misconfig";
    /// The readiness probe is wrong and the process healthy.
    ReadinessProbeMisconfig = "readiness_probe_misconfig";
    /// An init container exits non-zero.
    InitContainerFailure = "init_container_failure";
    /// An init container never ends.
    InitContainerHang = "init_container_hang";
    /// Node selector or affinity matches no node.
    UnschedulableNodeSelector = "unschedulable_node_selector";
    /// The matching node is cordoned.
    UnschedulableCordoned = "unschedulable_cordoned";
    /// An untolerated taint is on the matching node.
    UnschedulableTaint = "unschedulable_taint";
    /// Hard anti-affinity with too few topology domains.
    UnschedulableAntiAffinity = "unschedulable_anti_affinity";
    /// Requests exceed what nodes offer.
    UnschedulableResources = "unschedulable_resources";
    /// A claim names an absent StorageClass.
    PvcStorageclassMissing = "pvc_storageclass_missing";
    /// A claim will fill up.
    PvcFilling = "pvc_filling";
    /// A claim is full.
    PvcFull = "pvc_full";
    /// One pod eats the node's disk.
    EphemeralStorageHog = "ephemeral_storage_hog";
    /// The kubelet or its lease is lost.
    NodeNotReady = "node_not_ready";
    /// The workload is scaled to no replicas.
    ScaledToZero = "scaled_to_zero";
    /// A Service was deleted.
    ServiceMissing = "service_missing";
    /// A Service selects nothing.
    ServiceSelectorMismatch = "service_selector_mismatch";
    /// A Service's target port is wrong.
    ServicePortMismatch = "service_port_mismatch";
    /// A NetworkPolicy stops wanted traffic.
    NetworkPolicyBlock = "network_policy_block";
    /// The namespace's quota is used up.
    QuotaExhausted = "quota_exhausted";
    /// The quota demands limits that the template lacks.
    QuotaRequiresLimits = "quota_requires_limits";
    /// The autoscaler is at its ceiling under real load.
    HpaMaxTooLow = "hpa_max_too_low";
    /// The autoscaler cannot compute utilisation.
    HpaNoRequests = "hpa_no_requests";
    /// A budget leaves no disruptions while all pods are healthy.
    PdbBlocksDrain = "pdb_blocks_drain";
    /// Another workload that it needs is down.
    DependencyFailure = "dependency_failure";
    /// A role or binding is missing.
    RbacDenied = "rbac_denied";
    /// A fail-closed webhook has no backend.
    AdmissionWebhookDown = "admission_webhook_down";
    /// A volume cannot be bound, attached or mounted.
    VolumeUnavailable = "volume_unavailable";
    /// The service account that pods run as does not exist.
    ServiceAccountMissing = "service_account_missing";
    /// Pod security admission or a policy refuses the template.
    PodSecurityDenied = "pod_security_denied";
    /// A container is held back by its cpu limit.
    CpuThrottling = "cpu_throttling";
    /// A part of the cluster itself fails: name server, network plug-in, proxy, scheduler, kubelet or container runtime.
    ClusterComponentDown = "cluster_component_down";
    /// The image registry cannot be reached.
    RegistryUnreachable = "registry_unreachable";
    /// A deletion waits for a finalizer that nobody removes.
    FinalizerStuck = "finalizer_stuck";
    /// A custom resource, such as a certificate, a gateway or an operator's subscription, reports that it is not ready.
    ResourceNotReady = "resource_not_ready";
    /// Nothing to fix: benign or recovered.
    NoFault = "no_fault";
    /// The application fails for a reason that the cluster's state does not hold.
    ApplicationError = "application_error";
    /// The facts do not tell.
    Unknown = "unknown";
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Category {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.iter().find(|c| c.as_str() == text).copied();
        found.ok_or_else(|| Error::invalid("category.parse", "not a root-cause category").with("value", text))
    }
}
