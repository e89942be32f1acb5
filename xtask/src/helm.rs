//! Helm, for the test of rolling a release back.

use std::{path::PathBuf, process::Command};

use crate::{
    ci::cache,
    process::{Failure, Outcome, run},
};

const HELM: &str = "v3.22.0";

/// The program, built from its Go module into the cache once.
pub(crate) fn install() -> Outcome<PathBuf> {
    let folder = cache()?.join("tools").join(format!("helm-{HELM}"));
    let program = folder.join("helm");
    if !program.exists() {
        std::fs::create_dir_all(&folder).map_err(|e| Failure::new(format!("could not make {}: {e}", folder.display())))?;
        // Gently: it takes minutes, and nobody waits for this one alone.
        let mut install = Command::new("nice");
        install.args(["-n", "15", "go", "install", "-trimpath", "-ldflags", "-s -w", &format!("helm.sh/helm/v3/cmd/helm@{HELM}")]);
        run(install.env("GOBIN", &folder))?;
    }
    Ok(program)
}
