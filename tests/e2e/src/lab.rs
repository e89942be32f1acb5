//! The cluster under test, as its environment describes it.

use std::io::Write;

use crate::Kubectl;

/// Addresses of the test cluster, from the environment that `cargo xtask test` sets.
#[derive(Debug, Clone)]
pub struct Lab {
    /// Reads effects.
    pub kubectl: Kubectl,
    /// Kubeconfig for the product.
    pub kubeconfig: String,
    /// Address that Alertmanager sends to.
    pub webhook_addr: String,
    /// Token that Alertmanager sends.
    pub webhook_token: String,
    /// Alertmanager's own API.
    pub alertmanager_url: String,
    /// Registry as the nodes see it.
    pub registry: String,
}

impl Lab {
    /// The cluster, or `None` with the reason printed. With `KUBERNAUT_REQUIRE_CLUSTER=1` a missing cluster fails the test.
    #[must_use]
    pub fn from_env() -> Option<Self> {
        let var = |name: &str| std::env::var(name).map_err(|_| name.to_owned());
        let read = || -> Result<Self, String> {
            Ok(Self {
                kubectl: Kubectl::new(var("KUBERNAUT_TEST_KUBECTL")?),
                kubeconfig: var("KUBERNAUT_TEST_KUBECONFIG")?,
                webhook_addr: var("KUBERNAUT_TEST_WEBHOOK_ADDR")?,
                webhook_token: var("KUBERNAUT_TEST_WEBHOOK_TOKEN")?,
                alertmanager_url: var("KUBERNAUT_TEST_ALERTMANAGER_URL")?,
                registry: var("KUBERNAUT_TEST_REGISTRY")?,
            })
        };
        match read() {
            Ok(lab) => Some(lab),
            Err(missing) if std::env::var("KUBERNAUT_REQUIRE_CLUSTER").as_deref() == Ok("1") => {
                panic!("{missing} is not set, but the cluster is required")
            }
            Err(missing) => {
                tell(&format!("SKIPPED: {missing} is not set; `cargo xtask test` brings the cluster up and runs this"));
                None
            }
        }
    }
}

/// Writes a line that the test runner does not hold back, as it does with what a passing test prints.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
