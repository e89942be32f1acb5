//! The packages of other languages: their generated code, and building and testing them.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::process::{Failure, Outcome, root};

mod interface;
mod python;
mod ruby;
mod run;
mod typescript;

use interface::Interface;
pub(crate) use run::{Options, bindings, in_phases};

/// Every generated file with its text.
fn files() -> Outcome<Vec<(PathBuf, String)>> {
    let path = root().join("kubernaut/schemas/interface.json");
    let text = fs::read_to_string(&path).map_err(|e| Failure::new(format!("could not read {}: {e}", path.display())))?;
    let json: Value = serde_json::from_str(&text).map_err(|e| Failure::new(format!("{} is no JSON: {e}", path.display())))?;
    let interface = Interface::read(&json);
    let mut all = Vec::new();
    all.extend(python::files(&interface).into_iter().map(|(name, text)| (root().join("kubernaut-py/python/kubernaut").join(name), text)));
    all.extend(typescript::files(&interface).into_iter().map(|(name, text)| (root().join("kubernaut-node/ts").join(name), text)));
    all.push((root().join("kubernaut-uniffi/ruby/lib/kubernaut/operations.rb"), ruby::operations(&interface)));
    all.push((root().join("kubernaut-uniffi/src/error.rs"), ruby::errors(&interface)));
    all.push((root().join("kubernaut/schemas/reference.md"), ruby::reference(&interface)));
    Ok(all)
}

/// Writes the generated files.
pub(crate) fn generate() -> Outcome {
    for (path, text) in files()? {
        let failed = |e| Failure::new(format!("could not write {}: {e}", path.display()));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        fs::write(&path, text).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_all_languages_are_those_of_the_committed_interface() {
        for (path, text) in files().unwrap() {
            let committed = fs::read_to_string(&path).unwrap_or_default();
            assert!(committed == text, "{} is not what the interface says; run `cargo xtask gen`", path.display());
        }
    }
}
