//! `cargo xtask ci`: all that a change has to pass.

use std::{env, path::PathBuf, process::Command};

use crate::{
    bindings,
    process::{Failure, Outcome, Phases, cargo, root, run},
    test,
};

const CARGO_DENY: &str = "0.20.2";

/// Packages and features that must compile by themselves; built with the whole workspace, they get what others ask for.
const FEATURES: &[(&str, &[&str])] = &[
    ("kubernaut-core", &["--no-default-features"]),
    ("kubernaut-core", &["--no-default-features", "--features", "testkit"]),
    ("kubernaut", &["--no-default-features"]),
];

pub(crate) fn ci() -> Outcome {
    let mut phases = Phases::default();
    let result = steps(&mut phases);
    phases.summarise();
    result
}

fn steps(phases: &mut Phases) -> Outcome {
    phases.run("format", || run(&mut cargo(["fmt", "--all", "--check"])))?;
    phases.run("clippy", || run(&mut cargo(["clippy", "--workspace", "--all-targets", "--features", "kubernaut/embed", "--", "-D", "warnings"])))?;
    phases.run("documentation", || {
        run(cargo(["doc", "--workspace", "--no-deps", "--features", "kubernaut/embed"]).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    for (package, flags) in FEATURES {
        let name = format!("{package} {}", flags.join(" "));
        phases.run(&name, || run(cargo(["check", "--package", package]).args(*flags)))?;
    }
    let deny = phases.run("cargo-deny is there", cargo_deny)?;
    phases.run("dependencies", || {
        // Advisories need a database from outside; they are checked where there is a network.
        run(Command::new(&deny).args(["check", "bans", "licenses", "sources"]).current_dir(root()))
    })?;
    test::in_phases(&test::Options::default(), phases)?;
    bindings::in_phases(&bindings::Options::in_ci(), phases)
}

/// The program, installed into the cache once.
fn cargo_deny() -> Outcome<PathBuf> {
    let tools = cache()?.join("tools").join(format!("cargo-deny-{CARGO_DENY}"));
    let program = tools.join("bin/cargo-deny");
    if !program.exists() {
        let mut install = cargo(["install", "cargo-deny", "--locked", "--version", CARGO_DENY, "--root"]);
        // Outside of the checkout's target folder, so that neither build disturbs the other.
        run(install.arg(&tools).env("CARGO_TARGET_DIR", tools.join("build")))?;
        std::fs::remove_dir_all(tools.join("build")).map_err(|e| Failure::new(format!("could not remove the build of cargo-deny: {e}")))?;
    }
    Ok(program)
}

/// The same folder as tests/cluster/lib/settings.sh uses.
pub(crate) fn cache() -> Outcome<PathBuf> {
    let own = env::var_os("KUBERNAUT_CACHE").map(PathBuf::from);
    let general = || Some(PathBuf::from(env::var_os("XDG_CACHE_HOME")?).join("kubernaut"));
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache/kubernaut"));
    own.or_else(general).or_else(home).ok_or_else(|| Failure::new("no folder for the cache; set KUBERNAUT_CACHE or HOME"))
}
