//! Arguments of the commands on a ledger as a whole.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use kubernaut::model::IncidentId;

use super::Output;

/// Which ledger.
#[derive(Debug, Clone, Default, Args)]
pub struct LedgerArgs {
    /// A SQLite file, or postgres://user@host/database?schema=NAME. Default: the configured one.
    #[arg(long, env = "KUBERNAUT_LEDGER", hide_env_values = true)]
    pub ledger: Option<String>,
    /// Configuration file (YAML). The environment (`KUBERNAUT__STORAGE__POSTGRES__URL` …) goes on top.
    #[arg(long, env = "KUBERNAUT_CONFIG")]
    pub config: Option<PathBuf>,
}

/// `audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// What to do with the audit.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Recompute every hash and check every signature; status 1 if anything does not fit.
    Verify(VerifyArgs),
    /// Write everything that is needed to verify the audit without the ledger, one JSON object a line. The ledger may be in use.
    Export {
        /// File to write; must not exist.
        #[arg(long)]
        out: PathBuf,
        /// Which ledger.
        #[command(flatten)]
        ledger: LedgerArgs,
    },
    /// Make a key that signs checkpoints, for `storage.audit.key_file`; prints its public half.
    Keygen {
        /// File to write; must not exist.
        file: PathBuf,
    },
}

/// `audit verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Which ledger. It may be in use.
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// An export instead.
    #[arg(long, conflicts_with_all = ["ledger", "url"])]
    pub file: Option<PathBuf>,
    /// A running server instead, such as http://127.0.0.1:8080; its chains only.
    #[arg(long, conflicts_with = "ledger")]
    pub url: Option<reqwest::Url>,
    /// Token for the server.
    #[arg(long, env = "KUBERNAUT_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// The only key that may have signed, in hex; then every checkpoint must be signed.
    #[arg(long, conflicts_with = "url")]
    pub public_key: Option<String>,
    /// How the result is printed.
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,
}

/// `migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Where the ledger is: sqlite:FILE, which no server may be using.
    #[arg(long)]
    pub from: String,
    /// Where it goes: postgres://user@host/database?schema=NAME; must be empty.
    #[arg(long, env = "KUBERNAUT_MIGRATE_TO", hide_env_values = true)]
    pub to: String,
    /// How the result is printed.
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,
}

/// `backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// File to write; must not exist. It holds everything, so only its owner can read it.
    pub file: PathBuf,
    /// Which ledger. It may be in use.
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// How the result is printed.
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,
}

/// `restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The archive.
    pub file: PathBuf,
    /// Which ledger; must be empty or missing.
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// How the result is printed.
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,
}

/// `retention`.
#[derive(Debug, Args)]
pub struct RetentionArgs {
    /// Only count what would go; this is the default.
    #[arg(long, conflicts_with = "apply")]
    pub dry_run: bool,
    /// Purge it.
    #[arg(long)]
    pub apply: bool,
    /// Which ledger.
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// How the result is printed.
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,
}

/// `hold`.
#[derive(Debug, Args)]
pub struct HoldArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: HoldCommand,
    /// Which ledger.
    #[command(flatten)]
    pub ledger: LedgerArgs,
}

/// What to do with legal holds.
#[derive(Debug, Subcommand)]
pub enum HoldCommand {
    /// Keep an incident and all that belongs to it, however old it gets.
    Set {
        /// The incident.
        incident: IncidentId,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Let it go at its time again.
    Release {
        /// The incident.
        incident: IncidentId,
    },
    /// Show all.
    List,
}
