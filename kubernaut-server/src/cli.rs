//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod ledger;

pub use ledger::{AuditArgs, AuditCommand, BackupArgs, HoldArgs, HoldCommand, LedgerArgs, MigrateArgs, RestoreArgs, RetentionArgs, VerifyArgs};

/// From a Kubernetes alert to a verified fix.
#[derive(Debug, Parser)]
#[command(name = "kubernaut", version, about, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server.
    Serve(ServeArgs),
    /// Show the whole way of one alert, on a recorded incident or a live cluster.
    Demo(DemoArgs),
    /// Find the root cause of a recorded incident or of an object of the cluster.
    Analyze(AnalyzeArgs),
    /// Analyse a folder of recorded incidents, and grade the answers where the truth is given.
    Eval(EvalArgs),
    /// Record a namespace of a live cluster as a bundle.
    Record(RecordArgs),
    /// List the actions that can be taken.
    Actions(ActionsArgs),
    /// Stop all acting: nothing new begins, what is under way reaches a safe point.
    Stop(StopArgs),
    /// Allow acting again.
    Resume(ResumeArgs),
    /// Verify and export the audit, make keys for it.
    Audit(AuditArgs),
    /// Move a ledger from a SQLite file to PostgreSQL.
    Migrate(MigrateArgs),
    /// Save a whole ledger to a file.
    Backup(BackupArgs),
    /// Fill an empty ledger from a backup.
    Restore(RestoreArgs),
    /// Show what was kept long enough, or purge it.
    Retention(RetentionArgs),
    /// Legal holds: incidents that no retention removes.
    Hold(HoldArgs),
    /// Check configuration, ledger, cluster and rights.
    Doctor(ConfigArgs),
    /// Write the OpenAPI document.
    Schema(SchemaArgs),
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// How an analysis is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
    /// For chats and tickets.
    Markdown,
}

/// Where the configuration is.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// Configuration file (YAML). The environment (`KUBERNAUT__HTTP__LISTEN` …) goes on top.
    #[arg(long, env = "KUBERNAUT_CONFIG")]
    pub config: Option<PathBuf>,
}

/// `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print the configuration in force, secrets hidden, and end.
    #[arg(long)]
    pub print_config: bool,
}

/// Which cluster.
#[derive(Debug, Clone, Default, Args)]
pub struct ClusterArgs {
    /// Kubeconfig file. Default: KUBECONFIG, ~/.kube/config, else the pod's service account.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Context within it.
    #[arg(long)]
    pub context: Option<String>,
}

/// `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Recorded incident to play. Default: the one that ships with the program.
    #[arg(long, conflicts_with = "kubeconfig")]
    pub bundle: Option<PathBuf>,
    /// Play on this live cluster instead: a namespace with a release that crashes is made, and removed at the end.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Image for the live demo; needs a shell.
    #[arg(long, env = "KUBERNAUT_DEMO_IMAGE", default_value = "busybox:1.36")]
    pub image: String,
    /// Address to listen on. Default: 127.0.0.1:8080, or a free port if that is taken.
    #[arg(long)]
    pub listen: Option<std::net::SocketAddr>,
    /// Bearer token that the alert sender uses; wait for its alert instead of sending one (live demo).
    #[arg(long, env = "KUBERNAUT_DEMO_WEBHOOK_TOKEN", hide_env_values = true)]
    pub webhook_token: Option<String>,
    /// End after the incident instead of leaving the server running; status 0 only if it was resolved.
    #[arg(long)]
    pub exit: bool,
    /// Propose a mere restart instead of the fix, to see that nothing is called resolved that is not.
    #[arg(long)]
    pub wrong_action: bool,
}

/// `analyze`.
#[derive(Debug, Args)]
pub struct AnalyzeArgs {
    /// A recorded incident.
    #[arg(long, conflicts_with_all = ["namespace", "object", "all_namespaces"])]
    pub bundle: Option<PathBuf>,
    /// Namespace of a live cluster; without KIND/NAME everything unhealthy in it is analysed and put together by root cause.
    #[arg(long, short)]
    pub namespace: Option<String>,
    /// Everything unhealthy in all namespaces, nodes included, put together by root cause.
    #[arg(long, short = 'A', conflicts_with_all = ["namespace", "object"])]
    pub all_namespaces: bool,
    /// Unhealthy objects that are analysed at most.
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
    /// One object, such as Deployment/web.
    #[arg(value_name = "KIND/NAME", requires = "namespace")]
    pub object: Option<String>,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// How the answer is printed.
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Form,
    /// End with status 1 if anything was found that needs an action or a person.
    #[arg(long)]
    pub exit_code: bool,
}

/// `eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Folder with one bundle a folder, or with these under bundles/ and the truth under expected/.
    #[arg(long, required_unless_present = "compare")]
    pub cases: Option<PathBuf>,
    /// Folder with the truth, one YAML file a case.
    #[arg(long)]
    pub expected: Option<PathBuf>,
    /// File that gets one JSON line a case.
    #[arg(long)]
    pub predictions: Option<PathBuf>,
    /// Compare two results, each as `--output json` prints it; the earlier one first.
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"], conflicts_with_all = ["cases", "expected", "predictions"])]
    pub compare: Option<Vec<PathBuf>>,
    /// How the result is printed.
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,
    /// End with status 1 if any answer is harmful, or if the second of two compared results is worse.
    #[arg(long)]
    pub exit_code: bool,
}

/// `record`.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// Namespace to record.
    #[arg(long, short)]
    pub namespace: String,
    /// Folder to write; must be new or empty.
    #[arg(long)]
    pub out: PathBuf,
    /// The alert's webhook body, to be recorded with it.
    #[arg(long)]
    pub alert: Option<PathBuf>,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// `actions`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ActionsArgs {
    /// What to do with them; without it they are listed.
    #[command(subcommand)]
    pub command: Option<ActionsCommand>,
    /// How they are printed.
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,
}

/// What to do with actions.
#[derive(Debug, Subcommand)]
pub enum ActionsCommand {
    /// Print the exact roles that actions need, for `kubectl apply -f -`.
    Rbac(RbacArgs),
}

/// `actions rbac`.
#[derive(Debug, Args)]
pub struct RbacArgs {
    /// The actions, by any of their names.
    #[arg(required = true)]
    pub actions: Vec<String>,
    /// Namespace in which they may be carried out; may be given several times.
    #[arg(long, short)]
    pub namespace: Vec<String>,
    /// Who gets the rights, as NAMESPACE/NAME.
    #[arg(long, default_value = "kubernaut/kubernaut-executor")]
    pub service_account: String,
    /// Name of the roles and bindings.
    #[arg(long, default_value = "kubernaut-actions")]
    pub name: String,
}

/// Which server.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// The server's address.
    #[arg(long, env = "KUBERNAUT_URL", default_value = "http://127.0.0.1:8080")]
    pub url: reqwest::Url,
    /// Token for it.
    #[arg(long, env = "KUBERNAUT_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

/// `stop`.
#[derive(Debug, Args)]
pub struct StopArgs {
    /// Why; stands on everything that is held.
    #[arg(long, default_value = "stopped from the command line")]
    pub reason: String,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// `resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// File to write; standard output if absent.
    #[arg(long)]
    pub out: Option<PathBuf>,
}
