//! `cargo xtask gen`: writes the generated files that are committed.

use crate::{
    bindings,
    process::{Outcome, cargo, run},
};

pub(crate) fn generate() -> Outcome {
    // The tests that compare them also write them; so what is written is what is compared.
    for (package, test) in
        [("kubernaut-core", "schemas"), ("kubernaut-executor", "actions"), ("kubernaut", "interface"), ("kubernaut-server", "openapi")]
    {
        run(cargo(["test", "--package", package, "--test", test]).env("UPDATE_SCHEMAS", "1"))?;
    }
    bindings::generate()
}
