//! How the product knows its plugins: entries in a table that is passed as a value.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, ErrorKind, Inspect, Operator, Properties, Result, Scan, Sink, Source, SourceContext};

/// What a plugin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PluginKind {
    /// Reads.
    Source,
    /// Turns rows into rows.
    Operator,
    /// Writes.
    Sink,
}

/// One thing that `doctor` looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// False when it prevents or limits the task.
    pub ok: bool,
    /// What was found.
    pub what: String,
    /// The exact statement or setting that mends it, where there is one.
    pub fix: Option<String>,
}

/// A source: its name, its settings, how to build it. See [`source`].
pub trait SourcePlugin: 'static {
    /// The public name: a noun with `Input`.
    const NAME: &'static str;
    /// Other spellings that load too.
    const ALIASES: &'static [&'static str] = &[];
    /// What it is, in one sentence.
    const SUMMARY: &'static str;
    /// Guarantees and limits, in Markdown.
    const NOTES: &'static str;
    /// A flow that a test plans and runs.
    const EXAMPLE: &'static str;
    /// The setting that, where it is given, holds a source that takes this one's place: see [`PlacedSource`].
    const PLACED: Option<&'static str> = None;
    /// The settings: `deny_unknown_fields`, a doc comment on every field.
    type Config: DeserializeOwned + JsonSchema;

    /// What the planner has to know.
    fn properties(config: &Self::Config) -> Properties;

    /// Checks what the type cannot say. Pure: no I/O.
    ///
    /// # Errors
    /// `Config`, with the setting's name.
    fn validate(_config: &Self::Config) -> Result<()> {
        Ok(())
    }

    /// Makes the source. Cheap: no I/O.
    fn build(config: Self::Config) -> Result<Box<dyn Source>>;

    /// Makes what reads the tables as they are (or were) at a position. `None` where reading `build`'s source from the
    /// beginning does that.
    fn scan(_config: Self::Config) -> Option<Result<Box<dyn Scan>>> {
        None
    }

    /// Looks at rights and settings before anything is read, all of them at once; changes nothing. Empty where opening
    /// the source says enough.
    fn doctor(_config: Self::Config) -> Vec<Finding> {
        Vec::new()
    }

    /// Takes back what this task made at the source, such as slots and triggers; says what, a sentence each. The task can
    /// not go on from its checkpoint afterwards.
    ///
    /// # Errors
    /// Those of the system.
    fn retire(_config: Self::Config, _context: &SourceContext) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// A source in the settings of another one, whose place it takes when the flow is planned.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlacedSource {
    /// The source: `SQLiteInput`, `PostgresInput`, `CSVInput`.
    pub plugin: String,
    /// Its settings.
    #[serde(default)]
    pub config: serde_json::Map<String, Value>,
}

/// An operator: its name, its settings, how to build it. See [`operator`].
pub trait OperatorPlugin: 'static {
    /// The public name: a verb or noun of the field.
    const NAME: &'static str;
    /// Other spellings that load too.
    const ALIASES: &'static [&'static str] = &[];
    /// What it is, in one sentence.
    const SUMMARY: &'static str;
    /// What it does with updates, deletes, absent values and DDL; its limits. Markdown.
    const NOTES: &'static str;
    /// A flow that a test plans and runs.
    const EXAMPLE: &'static str;
    /// The settings: `deny_unknown_fields`, a doc comment on every field.
    type Config: DeserializeOwned + JsonSchema;

    /// What the planner has to know.
    fn properties(config: &Self::Config) -> Properties;

    /// Checks what the type cannot say, expressions included. Pure: no I/O.
    ///
    /// # Errors
    /// `Config`, with the setting's name.
    fn validate(_config: &Self::Config) -> Result<()> {
        Ok(())
    }

    /// Makes the operator. Cheap: no I/O.
    fn build(config: Self::Config) -> Result<Box<dyn Operator>>;
}

/// A sink: its name, its settings, how to build it. See [`sink`].
pub trait SinkPlugin: 'static {
    /// The public name: a noun with `Output`.
    const NAME: &'static str;
    /// Other spellings that load too.
    const ALIASES: &'static [&'static str] = &[];
    /// What it is, in one sentence.
    const SUMMARY: &'static str;
    /// Guarantees, types and limits, in Markdown.
    const NOTES: &'static str;
    /// A flow that a test plans and runs.
    const EXAMPLE: &'static str;
    /// The settings: `deny_unknown_fields`, a doc comment on every field.
    type Config: DeserializeOwned + JsonSchema;

    /// What the planner has to know.
    fn properties(config: &Self::Config) -> Properties;

    /// Checks what the type cannot say. Pure: no I/O.
    ///
    /// # Errors
    /// `Config`, with the setting's name.
    fn validate(_config: &Self::Config) -> Result<()> {
        Ok(())
    }

    /// Makes the sink. Cheap: no I/O.
    fn build(config: Self::Config) -> Result<Box<dyn Sink>>;

    /// Makes what reads the target back, where it can be read.
    fn inspect(_config: Self::Config) -> Option<Result<Box<dyn Inspect>>> {
        None
    }

    /// Looks at rights and settings before anything is written, all of them at once; changes nothing. Empty where
    /// opening the sink says enough.
    fn doctor(_config: Self::Config) -> Vec<Finding> {
        Vec::new()
    }
}

/// Builds a `T` from settings that were checked.
pub type BuildFn<T> = fn(&Value) -> Result<Box<T>>;
/// As [`BuildFn`], where not every plugin can.
pub type OptionalBuildFn<T> = fn(&Value) -> Option<Result<Box<T>>>;

/// How to build a plugin, by kind.
#[derive(Clone, Copy)]
pub enum Build {
    /// A source, and what scans its state for `verify`.
    Source {
        /// [`SourcePlugin::build`].
        build: BuildFn<dyn Source>,
        /// [`SourcePlugin::scan`].
        scan: OptionalBuildFn<dyn Scan>,
    },
    /// An operator.
    Operator {
        /// [`OperatorPlugin::build`].
        build: BuildFn<dyn Operator>,
    },
    /// A sink, and what reads its target back.
    Sink {
        /// [`SinkPlugin::build`].
        build: BuildFn<dyn Sink>,
        /// [`SinkPlugin::inspect`].
        inspect: OptionalBuildFn<dyn Inspect>,
    },
}

/// One plugin in the catalogue.
#[derive(Clone, Copy)]
pub struct PluginEntry {
    /// The public name.
    pub name: &'static str,
    /// Other spellings that load too.
    pub aliases: &'static [&'static str],
    /// What it is, in one sentence.
    pub summary: &'static str,
    /// Guarantees and limits, in Markdown.
    pub notes: &'static str,
    /// A flow that a test plans and runs.
    pub example: &'static str,
    /// The JSON Schema of its settings.
    pub schema: fn() -> Schema,
    /// The setting with the source that takes its place. See [`SourcePlugin::PLACED`].
    pub placed: Option<&'static str>,
    /// Checks settings and says what the planner has to know of them. Pure.
    ///
    /// A setting of the wrong type or an unknown one is a `Config` error whose `setting` is the path inside `config`.
    pub check: fn(&Value) -> Result<Properties>,
    /// Looks at the systems behind it; changes nothing. See [`SourcePlugin::doctor`].
    pub doctor: fn(&Value) -> Vec<Finding>,
    /// Takes back what it made at its system. See [`SourcePlugin::retire`].
    pub retire: fn(&Value, &SourceContext) -> Result<Vec<String>>,
    /// How to build it.
    pub build: Build,
}

impl PluginEntry {
    /// What the plugin is.
    pub fn kind(&self) -> PluginKind {
        match self.build {
            Build::Source { .. } => PluginKind::Source,
            Build::Operator { .. } => PluginKind::Operator,
            Build::Sink { .. } => PluginKind::Sink,
        }
    }
}

impl std::fmt::Debug for PluginEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}", self.kind(), self.name)
    }
}

/// Reads a plugin's settings; a mistake becomes an error that names the setting.
fn parse<C: DeserializeOwned>(plugin: &str, settings: &Value) -> Result<C> {
    serde_path_to_error::deserialize(settings).map_err(|error| {
        let path = error.path().to_string();
        let cause = error.into_inner();
        let mistake = Error::new(ErrorKind::Config, format!("{plugin}: {cause}"));
        if path == "." { mistake } else { mistake.with_setting(path) }
    })
}

/// The entry of a source plugin.
pub const fn source<P: SourcePlugin>() -> PluginEntry {
    PluginEntry {
        name: P::NAME,
        aliases: P::ALIASES,
        summary: P::SUMMARY,
        notes: P::NOTES,
        example: P::EXAMPLE,
        schema: || schemars::schema_for!(P::Config),
        placed: P::PLACED,
        check: |settings| {
            let config = parse(P::NAME, settings)?;
            P::validate(&config)?;
            Ok(P::properties(&config))
        },
        doctor: |settings| parse(P::NAME, settings).map(P::doctor).unwrap_or_default(),
        retire: |settings, context| P::retire(parse(P::NAME, settings)?, context),
        build: Build::Source {
            build: |settings| P::build(parse(P::NAME, settings)?),
            scan: |settings| match parse(P::NAME, settings) {
                Ok(config) => P::scan(config),
                Err(error) => Some(Err(error)),
            },
        },
    }
}

/// The entry of an operator plugin.
pub const fn operator<P: OperatorPlugin>() -> PluginEntry {
    PluginEntry {
        name: P::NAME,
        aliases: P::ALIASES,
        summary: P::SUMMARY,
        notes: P::NOTES,
        example: P::EXAMPLE,
        schema: || schemars::schema_for!(P::Config),
        placed: None,
        check: |settings| {
            let config = parse(P::NAME, settings)?;
            P::validate(&config)?;
            Ok(P::properties(&config))
        },
        doctor: |_| Vec::new(),
        retire: |_, _| Ok(Vec::new()),
        build: Build::Operator { build: |settings| P::build(parse(P::NAME, settings)?) },
    }
}

/// The entry of a sink plugin.
pub const fn sink<P: SinkPlugin>() -> PluginEntry {
    PluginEntry {
        name: P::NAME,
        aliases: P::ALIASES,
        summary: P::SUMMARY,
        notes: P::NOTES,
        example: P::EXAMPLE,
        schema: || schemars::schema_for!(P::Config),
        placed: None,
        check: |settings| {
            let config = parse(P::NAME, settings)?;
            P::validate(&config)?;
            Ok(P::properties(&config))
        },
        doctor: |settings| parse(P::NAME, settings).map(P::doctor).unwrap_or_default(),
        retire: |_, _| Ok(Vec::new()),
        build: Build::Sink {
            build: |settings| P::build(parse(P::NAME, settings)?),
            inspect: |settings| match parse(P::NAME, settings) {
                Ok(config) => P::inspect(config),
                Err(error) => Some(Err(error)),
            },
        },
    }
}

/// All plugins of a program, by name; names match without case.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    by_name: BTreeMap<String, PluginEntry>,
    entries: Vec<PluginEntry>,
}

impl Catalogue {
    /// Makes a catalogue.
    ///
    /// # Errors
    /// `Bug` when two plugins share a name or alias.
    pub fn new(entries: impl IntoIterator<Item = PluginEntry>) -> Result<Self> {
        let mut catalogue = Self::default();
        for entry in entries {
            for name in std::iter::once(&entry.name).chain(entry.aliases) {
                if let Some(other) = catalogue.by_name.insert(name.to_lowercase(), entry) {
                    return Err(Error::bug(format!("plugins {} and {} share the name {name}", other.name, entry.name)));
                }
            }
            catalogue.entries.push(entry);
        }
        catalogue.entries.sort_by_key(|entry| (entry.kind(), entry.name));
        Ok(catalogue)
    }

    /// The plugin of that name or alias, without case.
    pub fn get(&self, name: &str) -> Option<&PluginEntry> {
        self.by_name.get(&name.to_lowercase())
    }

    /// All plugins: sources, operators, sinks, each by name.
    pub fn entries(&self) -> &[PluginEntry] {
        &self.entries
    }
}
