//! What the command line understands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Keeps data moving between databases, brokers, files and warehouses, and proves that it did.
#[derive(Debug, Parser)]
#[command(name = "aqueduct", version, arg_required_else_help = true)]
pub(super) struct Arguments {
    /// What is logged: error, warn, info, debug, or directives such as aqueduct_engine=debug.
    /// By default info for `run`, warn for everything else.
    #[arg(long, global = true, env = "AQUEDUCT_LOG", hide_env = true)]
    pub(super) log: Option<String>,
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(super) log_format: LogFormat,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// A flow file and how to read it.
#[derive(Debug, Clone, Args)]
pub(super) struct FlowArguments {
    /// The flow file: YAML, JSON or XML.
    pub(super) flow: PathBuf,
    #[command(flatten)]
    pub(super) options: FlowOptions,
}

/// How to read a flow file.
#[derive(Debug, Clone, Args)]
pub(super) struct FlowOptions {
    /// The folder under which each flow keeps its checkpoints.
    #[arg(long, default_value = ".aqueduct", env = "AQUEDUCT_STATE")]
    pub(super) state: PathBuf,
    /// Sets a parameter of the flow; may be given several times.
    #[arg(short = 'p', long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(super) params: Vec<(String, String)>,
    /// Laid over the flow's file, as JSON: what `torture` gives the daemons that it starts.
    #[arg(long, hide = true, env = "AQUEDUCT_OVERLAY", hide_env_values = true, value_parser = overlay)]
    pub(super) overlay: Option<Overlay>,
}

/// What is laid over a flow's file.
#[derive(Debug, Clone)]
pub(super) struct Overlay(pub(super) serde_json::Map<String, serde_json::Value>);

fn overlay(text: &str) -> Result<Overlay, String> {
    serde_json::from_str(text).map(Overlay).map_err(|error| format!("it is not a JSON object: {error}"))
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} has no `=`; write -p name=value"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A running flow, or one of the flows that it runs.
#[derive(Debug, Args)]
pub(super) struct SteerArguments {
    #[command(flatten)]
    pub(super) flow: FlowArguments,
    /// One of the runs that `status` shows.
    #[arg(long, value_name = "NAME")]
    pub(super) run: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Runs a flow until it has finished or is stopped. SIGTERM or Ctrl-C drains; a second one ends it at once.
    Run(RunArguments),
    /// Checks flow files and starts nothing.
    Validate {
        /// The flow files.
        #[arg(required = true)]
        flows: Vec<PathBuf>,
        #[command(flatten)]
        options: FlowOptions,
    },
    /// Shows what would run: tasks, edges and what delivery is given.
    Plan {
        #[command(flatten)]
        flow: FlowArguments,
        /// How to show it.
        #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
        format: PlanFormat,
    },
    /// Draws a flow: Mermaid for Markdown, an SVG, or DOT for Graphviz.
    Graph {
        #[command(flatten)]
        flow: FlowArguments,
        /// How to draw it.
        #[arg(long, value_enum, default_value_t = GraphFormat::Mermaid)]
        format: GraphFormat,
    },
    /// Runs the tests of flows in memory: no server, nothing is written. The flow's own operators run in the real engine
    /// on the rows that a test gives, with its checkpoints and kills. See docs/testing.md.
    Test(TestArguments),
    /// Shows the first rows at every edge; writes nothing.
    Preview {
        #[command(flatten)]
        flow: FlowArguments,
        /// Rows to read from every source.
        #[arg(long, default_value_t = 10)]
        rows: usize,
    },
    /// Follows one row: where its source read it, what every task made of it, where it ended. Writes nothing.
    Trace(TraceArguments),
    /// Records what the sources of a run give, or runs a recording offline and shows what an edited flow makes of it.
    Replay(ReplayArguments),
    /// Compares source and target row by row, exactly, also while data moves.
    Verify(VerifyArguments),
    /// Checks privileges and settings of every system a flow uses, and says what to do about what is missing.
    Doctor {
        #[command(flatten)]
        flow: FlowArguments,
    },
    /// Shows what a running flow is doing.
    Status {
        #[command(flatten)]
        flow: FlowArguments,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Drains a running flow, or one of its runs, to an epoch and lets go of its connections.
    Pause(SteerArguments),
    /// Goes on after a pause.
    Resume(SteerArguments),
    /// Drains a running flow and ends it; with --run, cancels one of its runs.
    Stop(SteerArguments),
    /// Lets a table go on that waits for a person: its schema changed and the source says `schema_change: ask`, or it could
    /// not be read. Without a name: lists the tables that wait.
    Approve {
        #[command(flatten)]
        flow: FlowArguments,
        /// The table.
        table: Option<String>,
    },
    /// Takes back what a flow that is gone for good made at its sources: replication slots, publications, triggers.
    Retire {
        #[command(flatten)]
        flow: FlowArguments,
    },
    /// Looks into a flow's checkpoints, or starts it over.
    Checkpoint {
        #[command(subcommand)]
        action: CheckpointAction,
    },
    /// Shows what was delivered, epoch by epoch.
    Receipts {
        #[command(flatten)]
        flow: FlowArguments,
        /// How many of the newest to show.
        #[arg(long, default_value_t = 20)]
        last: usize,
        /// Prints one JSON object per receipt.
        #[arg(long)]
        json: bool,
    },
    /// Proves from the receipts and the targets' own ledgers that no epoch is missing, there twice, or was changed.
    Audit {
        #[command(flatten)]
        flow: FlowArguments,
    },
    /// Lists and explains plugins.
    Plugins {
        #[command(subcommand)]
        action: PluginAction,
    },
    /// Writes a first flow to start from.
    Init {
        /// The folder to write into.
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Breaks things while a flow runs into scratch targets, and shows what it survived: kills, cut connections, lost
    /// replies, silence, locks, DDL in the midst. Ends with a comparison of all rows.
    Torture(TortureArguments),
    /// Shows the product: CDC into a warehouse, two SIGKILLs, and the proof that nothing was lost.
    Demo(crate::demo::DemoOptions),
    /// Writes a shop database until told to stop: the other process of the demo.
    #[command(hide = true)]
    DemoWriter(crate::demo::WriterOptions),
    /// Prints the version.
    Version,
    /// Prints a completion script for a shell.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    #[command(flatten)]
    pub(super) flow: FlowArguments,
    /// How progress is shown.
    #[arg(long, value_enum, default_value_t = ProgressStyle::Auto)]
    pub(super) progress: ProgressStyle,
    /// Serves /metrics, /healthz and /readyz on this address; loopback only.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) metrics_listen: Option<std::net::SocketAddr>,
}

#[derive(Debug, Args)]
pub(super) struct TestArguments {
    /// Flow files, test files (`NAME.test.yaml`, beside `NAME.yaml`) or folders with such files.
    #[arg(default_value = ".")]
    pub(super) paths: Vec<PathBuf>,
    /// Runs only tests whose name contains this text; case does not matter.
    #[arg(long, value_name = "TEXT")]
    pub(super) filter: Option<String>,
    /// Writes what came into the expectations that differ, in YAML files; comments and order elsewhere stay.
    #[arg(long)]
    pub(super) update: bool,
    /// Writes the results as JUnit XML, for CI.
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct TraceArguments {
    #[command(flatten)]
    pub(super) flow: FlowArguments,
    /// The row's key: its value, or `column=value` pairs with commas between them.
    pub(super) key: String,
    /// The source tables to look in: a name or a pattern.
    #[arg(long)]
    pub(super) table: Option<String>,
    /// Rows to read from every source at most.
    #[arg(long, default_value_t = 1_000_000)]
    pub(super) rows: usize,
    /// Reads a recording instead of the sources.
    #[arg(long, value_name = "DIR")]
    pub(super) from: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArguments {
    #[command(flatten)]
    pub(super) flow: FlowArguments,
    /// Runs the flow as `run` does, into its targets, and keeps in this folder what its sources give.
    #[arg(long, value_name = "DIR", required_unless_present = "from", conflicts_with = "from")]
    pub(super) record: Option<PathBuf>,
    /// Runs the flow on the recording in this folder, in memory, and compares what its targets would hold.
    #[arg(long, value_name = "DIR")]
    pub(super) from: Option<PathBuf>,
    /// The flow to compare with; without it, the flow as it was when it was recorded.
    #[arg(long, value_name = "FLOW", requires = "from")]
    pub(super) against: Option<PathBuf>,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressStyle {
    /// A bar on a terminal, else nothing.
    Auto,
    /// A line that is updated.
    Bar,
    /// A new line every second.
    Plain,
    /// Nothing but the summary.
    None,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArguments {
    #[command(flatten)]
    pub(super) flow: FlowArguments,
    /// Writes what is missing or different into the target, and removes what is extra.
    #[arg(long)]
    pub(super) repair: bool,
    /// Compares row by row, also where both systems can compute a checksum of a table themselves.
    #[arg(long)]
    pub(super) rows: bool,
    /// Prints JSON.
    #[arg(long)]
    pub(super) json: bool,
    /// How many differing keys to show per table.
    #[arg(long, default_value_t = 20)]
    pub(super) show: usize,
}

#[derive(Debug, Args)]
pub(super) struct TortureArguments {
    #[command(flatten)]
    pub(super) flow: FlowArguments,
    /// How often something is broken.
    #[arg(long, default_value_t = 30)]
    pub(super) faults: u32,
    /// Only these faults.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(super) only: Vec<crate::torture::Fault>,
    /// The address of an empty database to write into instead of a task's target; may be given several times. File
    /// targets get scratch files by themselves.
    #[arg(long = "scratch", value_name = "TASK=URL", value_parser = parameter)]
    pub(super) targets: Vec<(String, String)>,
    /// A statement to run at the source of a task in the midst; may be given several times, each is run once.
    #[arg(long, value_name = "TASK=STATEMENT", value_parser = parameter)]
    pub(super) ddl: Vec<(String, String)>,
    /// Begins the same random choices again.
    #[arg(long)]
    pub(super) seed: Option<u64>,
}

/// How a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PlanFormat {
    /// A tree and a table.
    Text,
    /// A Mermaid graph.
    Mermaid,
}

/// How a flow is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum GraphFormat {
    /// A Mermaid flow chart.
    Mermaid,
    /// A drawing that any browser shows.
    Svg,
    /// The language of Graphviz.
    Dot,
}

#[derive(Debug, Subcommand)]
pub(super) enum CheckpointAction {
    /// Shows the last epochs: positions, tokens, when. Works while the flow runs.
    Show {
        #[command(flatten)]
        flow: FlowArguments,
    },
    /// Starts the flow over: the next run reads from the beginning. Targets are left as they are.
    Reset {
        #[command(flatten)]
        flow: FlowArguments,
    },
    /// Prints everything a checkpoint holds as JSON.
    Export {
        #[command(flatten)]
        flow: FlowArguments,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum PluginAction {
    /// Lists all plugins.
    List,
    /// Explains one: settings, guarantees, limits, an example.
    Show {
        /// The plugin's name.
        name: String,
    },
    /// Prints the JSON Schema of flow files, or of one plugin's settings, for editors.
    Schema {
        /// The plugin's name.
        name: Option<String>,
    },
    /// Writes the reference pages.
    Docs {
        /// The folder to write into.
        #[arg(long, default_value = "docs/plugins")]
        out: PathBuf,
        /// Files whose plugin table is renewed between its markers.
        #[arg(long)]
        readme: Vec<PathBuf>,
        /// Writes nothing; fails when something is out of date.
        #[arg(long)]
        check: bool,
    },
}
