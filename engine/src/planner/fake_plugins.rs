//! Plugins for tests: the names and main settings of real ones, without anything behind them.

use std::collections::BTreeMap;

use aqueduct_model::{
    Catalogue, ChangeSupport, Delivery, Error, FirstInput, Operator, OperatorPlugin, PlacedSource, Properties, Replay,
    Result, Sink, SinkPlugin, Source, SourcePlugin, operator, sink, source,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// All of them.
pub(crate) fn catalogue() -> Catalogue {
    Catalogue::new([
        source::<FakerInput>(),
        source::<QueueInput>(),
        source::<Each>(),
        operator::<Filter>(),
        operator::<Switch>(),
        operator::<Union>(),
        operator::<Join>(),
        operator::<Checker>(),
        operator::<Reservoir>(),
        operator::<Sort>(),
        operator::<Sql>(),
        operator::<Pivot>(),
        operator::<Watermark>(),
        sink::<ConsoleOutput>(),
        sink::<DuckDbOutput>(),
    ])
    .unwrap()
}

fn unbuilt<T>() -> Result<T> {
    Err(Error::bug("the plugins of these tests cannot be built"))
}

/// Settings of `FakerInput`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FakerConfig {
    /// What to generate.
    #[allow(dead_code)]
    dataset: Dataset,
    /// How many rows.
    rows: Option<u64>,
    /// The seed.
    #[allow(dead_code)]
    seed: Option<u64>,
    /// Emit updates and deletes.
    #[serde(default)]
    changes: bool,
}

/// What to generate.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Dataset {
    /// Orders.
    Orders,
    /// Customers.
    Customers,
}

struct FakerInput;
impl SourcePlugin for FakerInput {
    const NAME: &'static str = "FakerInput";
    const ALIASES: &'static [&'static str] = &["FakeSource"];
    const SUMMARY: &'static str = "Generates rows.";
    const NOTES: &'static str = "";
    const EXAMPLE: &'static str = "";
    type Config = FakerConfig;
    fn properties(config: &FakerConfig) -> Properties {
        Properties { emits_changes: config.changes, unbounded: config.rows.is_none(), ..Properties::source() }
    }
    fn build(_: FakerConfig) -> Result<Box<dyn Source>> {
        unbuilt()
    }
}

/// Settings of `QueueInput`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct QueueConfig {
    /// How it reads again.
    overlap: bool,
    /// The password of the queue.
    #[allow(dead_code)]
    password: Option<aqueduct_model::Secret>,
}

struct QueueInput;
impl SourcePlugin for QueueInput {
    const NAME: &'static str = "QueueInput";
    const SUMMARY: &'static str = "Reads a queue that forgets.";
    const NOTES: &'static str = "";
    const EXAMPLE: &'static str = "";
    type Config = QueueConfig;
    fn properties(config: &QueueConfig) -> Properties {
        Properties { replay: if config.overlap { Replay::Overlap } else { Replay::None }, ..Properties::source() }
    }
    fn build(_: QueueConfig) -> Result<Box<dyn Source>> {
        unbuilt()
    }
}

/// Settings of `Each`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EachConfig {
    /// The items.
    #[allow(dead_code)]
    items: Option<Vec<u64>>,
    /// The source.
    #[allow(dead_code)]
    query: Option<PlacedSource>,
}

struct Each;
impl SourcePlugin for Each {
    const NAME: &'static str = "Each";
    const SUMMARY: &'static str = "Goes through items.";
    const NOTES: &'static str = "";
    const EXAMPLE: &'static str = "";
    const PLACED: Option<&'static str> = Some("query");
    type Config = EachConfig;
    fn properties(_: &EachConfig) -> Properties {
        Properties::source()
    }
    fn build(_: EachConfig) -> Result<Box<dyn Source>> {
        unbuilt()
    }
}

/// Settings of `Filter`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FilterConfig {
    /// The condition.
    #[serde(rename = "where")]
    condition: String,
}

struct Filter;
impl OperatorPlugin for Filter {
    const NAME: &'static str = "Filter";
    const SUMMARY: &'static str = "Keeps rows.";
    const NOTES: &'static str = "";
    const EXAMPLE: &'static str = "";
    type Config = FilterConfig;
    fn properties(_: &FilterConfig) -> Properties {
        Properties::operator()
    }
    fn validate(config: &FilterConfig) -> Result<()> {
        match config.condition.is_empty() || config.condition.ends_with('(') {
            true => Err(Error::config("the condition cannot be read").with_setting("where").with_hint("write SQL")),
            false => Ok(()),
        }
    }
    fn build(_: FilterConfig) -> Result<Box<dyn Operator>> {
        unbuilt()
    }
}

/// Settings of `Switch`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SwitchConfig {
    /// The cases.
    cases: Vec<Case>,
}

/// A case.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Case {
    /// The port.
    port: String,
    /// The condition.
    #[allow(dead_code)]
    when: String,
}

struct Switch;
impl OperatorPlugin for Switch {
    const NAME: &'static str = "Switch";
    const SUMMARY: &'static str = "Routes rows.";
    const NOTES: &'static str = "";
    const EXAMPLE: &'static str = "";
    type Config = SwitchConfig;
    fn properties(config: &SwitchConfig) -> Properties {
        let ports = config.cases.iter().map(|case| case.port.clone()).chain(["rest".to_owned()]);
        Properties { outputs: ports.collect(), ..Properties::operator() }
    }
    fn build(_: SwitchConfig) -> Result<Box<dyn Operator>> {
        unbuilt()
    }
}

/// No settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoConfig {}

struct Union;
impl OperatorPlugin for Union {
    const NAME: &'static str = "Union";
    const SUMMARY: &'static str = "Merges inputs.";
    const NOTES: &'static str = "";
    const EXAMPLE: &'static str = "";
    type Config = NoConfig;
    fn properties(_: &NoConfig) -> Properties {
        Properties { inputs: (1, usize::MAX), ..Properties::operator() }
    }
    fn build(_: NoConfig) -> Result<Box<dyn Operator>> {
        unbuilt()
    }
}

/// Settings of `Join`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JoinConfig {
    /// Columns.
    #[allow(dead_code)]
    #[serde(default)]
    on: Vec<String>,
    /// By times that lie close together.
    #[serde(default)]
    interval: BTreeMap<String, String>,
    /// By the last row at a time.
    #[serde(default)]
    as_of: BTreeMap<String, String>,
}

struct Join;
impl OperatorPlugin for Join {
    const NAME: &'static str = "Join";
    const SUMMARY: &'static str = "Joins two inputs, by event time where that is given.";
    const NOTES: &'static str = "";
    const EXAMPLE: &'static str = "";
    type Config = JoinConfig;
    fn properties(config: &JoinConfig) -> Properties {
        let both = Properties { inputs: (2, 2), stateful: true, ..Properties::operator() };
        match config.interval.is_empty() && config.as_of.is_empty() {
            true => both,
            false => Properties { changes: ChangeSupport::AppendOnly, needs_event_time: true, ..both },
        }
    }
    fn build(_: JoinConfig) -> Result<Box<dyn Operator>> {
        unbuilt()
    }
}

/// Settings of `Watermark`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WatermarkConfig {
    /// The event time.
    #[allow(dead_code)]
    time: String,
}

struct Watermark;
impl OperatorPlugin for Watermark {
    const NAME: &'static str = "Watermark";
    const SUMMARY: &'static str = "Says how far event time has come.";
    const NOTES: &'static str = "";
    const EXAMPLE: &'static str = "";
    type Config = WatermarkConfig;
    fn properties(_: &WatermarkConfig) -> Properties {
        Properties { gives_event_time: true, ..Properties::operator() }
    }
    fn build(_: WatermarkConfig) -> Result<Box<dyn Operator>> {
        unbuilt()
    }
}

/// Settings of `Checker`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CheckerConfig {
    /// The rules.
    rules: Vec<serde_json::Value>,
}

struct Checker;
impl OperatorPlugin for Checker {
    const NAME: &'static str = "Checker";
    const SUMMARY: &'static str = "Checks rows by rules.";
    const NOTES: &'static str = "";
    const EXAMPLE: &'static str = "";
    type Config = CheckerConfig;
    fn properties(config: &CheckerConfig) -> Properties {
        let referred = |(i, rule): (usize, &serde_json::Value)| {
            let input = rule["check"]["reference"]["input"].as_str()?.to_owned();
            Some(FirstInput { input, setting: format!("rules[{i}].check.reference.input") })
        };
        Properties {
            inputs: (1, usize::MAX),
            first_inputs: config.rules.iter().enumerate().filter_map(referred).collect(),
            needs_end: config.rules.iter().any(|rule| rule["check"]["row_count"]["min"].is_u64()),
            stateful: true,
            ..Properties::operator()
        }
    }
    fn build(_: CheckerConfig) -> Result<Box<dyn Operator>> {
        unbuilt()
    }
}

struct Reservoir;
impl OperatorPlugin for Reservoir {
    const NAME: &'static str = "Reservoir";
    const SUMMARY: &'static str = "Keeps some rows until the end.";
    const NOTES: &'static str = "";
    const EXAMPLE: &'static str = "";
    type Config = NoConfig;
    fn properties(_: &NoConfig) -> Properties {
        Properties { changes: ChangeSupport::AppendOnly, needs_end: true, ..Properties::operator() }
    }
    fn build(_: NoConfig) -> Result<Box<dyn Operator>> {
        unbuilt()
    }
}

/// Settings of `Sort`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SortConfig {
    /// Columns.
    #[allow(dead_code)]
    by: Vec<String>,
    /// The end of a row's window.
    until: Option<String>,
}

struct Sort;
impl OperatorPlugin for Sort {
    const NAME: &'static str = "Sort";
    const SUMMARY: &'static str = "Sorts.";
    const NOTES: &'static str = "";
    const EXAMPLE: &'static str = "";
    type Config = SortConfig;
    fn properties(config: &SortConfig) -> Properties {
        let (needs_end, needs_event_time) = (config.until.is_none(), config.until.is_some());
        Properties { changes: ChangeSupport::AppendOnly, needs_end, needs_event_time, ..Properties::operator() }
    }
    fn build(_: SortConfig) -> Result<Box<dyn Operator>> {
        unbuilt()
    }
}

/// Settings of `SQL`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SqlConfig {
    /// The query.
    query: String,
}

struct Sql;
impl OperatorPlugin for Sql {
    const NAME: &'static str = "SQL";
    const SUMMARY: &'static str = "Runs a query; one with a total over all rows.";
    const NOTES: &'static str = "";
    const EXAMPLE: &'static str = "";
    type Config = SqlConfig;
    fn properties(config: &SqlConfig) -> Properties {
        Properties {
            changes: ChangeSupport::AppendOnly,
            needs_end: config.query.contains("count("),
            ..Properties::operator()
        }
    }
    fn build(_: SqlConfig) -> Result<Box<dyn Operator>> {
        unbuilt()
    }
}

struct Pivot;
impl OperatorPlugin for Pivot {
    const NAME: &'static str = "Pivot";
    const SUMMARY: &'static str = "Makes updates of inserts.";
    const NOTES: &'static str = "";
    const EXAMPLE: &'static str = "";
    type Config = NoConfig;
    fn properties(_: &NoConfig) -> Properties {
        Properties { emits_changes: true, stateful: true, ..Properties::operator() }
    }
    fn build(_: NoConfig) -> Result<Box<dyn Operator>> {
        unbuilt()
    }
}

struct ConsoleOutput;
impl SinkPlugin for ConsoleOutput {
    const NAME: &'static str = "ConsoleOutput";
    const SUMMARY: &'static str = "Prints rows.";
    const NOTES: &'static str = "";
    const EXAMPLE: &'static str = "";
    type Config = NoConfig;
    fn properties(_: &NoConfig) -> Properties {
        Properties { inputs: (1, 1), ..Properties::sink() }
    }
    fn build(_: NoConfig) -> Result<Box<dyn Sink>> {
        unbuilt()
    }
}

/// Settings of `DuckDBOutput`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DuckDbConfig {
    /// The file.
    #[allow(dead_code)]
    path: String,
    /// How changes are applied.
    #[serde(default)]
    mode: Mode,
}

/// How changes are applied.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// Not at all.
    Append,
    /// By key.
    #[default]
    Upsert,
}

struct DuckDbOutput;
impl SinkPlugin for DuckDbOutput {
    const NAME: &'static str = "DuckDBOutput";
    const SUMMARY: &'static str = "Writes a database.";
    const NOTES: &'static str = "";
    const EXAMPLE: &'static str = "";
    type Config = DuckDbConfig;
    fn properties(config: &DuckDbConfig) -> Properties {
        let changes = if config.mode == Mode::Append { ChangeSupport::AppendOnly } else { ChangeSupport::Changes };
        Properties { delivery: Delivery::ExactlyOnce, changes, ..Properties::sink() }
    }
    fn build(_: DuckDbConfig) -> Result<Box<dyn Sink>> {
        unbuilt()
    }
}
