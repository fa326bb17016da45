//! A flow as its file says it, with the place of everything that a later check may complain about.

use std::collections::BTreeMap;
use std::time::Duration;

use aqueduct_model::{BadRowPolicy, ByteSize, Delivery, HumanDuration};

use super::check;
use super::node::{Node, Span, Value};
use crate::plan::{ChannelSettings, CheckpointSettings, HookEvent, RestartSettings, RetrySettings, StoreKind};
use crate::receipts::ReceiptKind;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

/// A flow: expanded, checked against the table of keys, with defaults filled in.
#[derive(Debug, Clone)]
pub struct FlowDef {
    /// The flow's name.
    pub name: Spanned<String>,
    /// What it is for.
    pub description: Option<String>,
    /// What its parameters are, but for those that are secret.
    pub params: BTreeMap<String, serde_json::Value>,
    /// What it must give end to end; `None` is `auto`.
    pub delivery: Option<Spanned<Delivery>>,
    /// How often to checkpoint, and where the state lives.
    pub checkpoint: CheckpointDef,
    /// When to give up restarting.
    pub restart: RestartSettings,
    /// Bounds of every channel.
    pub channel: ChannelSettings,
    /// At most this many rows in a batch that a source makes.
    pub batch_rows: usize,
    /// Pipelines run one after the other.
    pub serial: bool,
    /// Flows that are run beside it.
    pub hooks: Vec<HookDef>,
    /// The tasks, in the order of the file.
    pub tasks: Vec<TaskDef>,
    /// Where the list of tasks begins.
    pub tasks_span: Span,
    /// A task was left out, or an input, because it could not be read: the graph cannot be judged.
    pub incomplete: bool,
}

/// The key `checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointDef {
    /// How often, and in which store.
    pub settings: CheckpointSettings,
    /// The folder for the flow's state, instead of one under the daemon's.
    pub path: Option<String>,
}

/// A task.
#[derive(Debug, Clone)]
pub struct TaskDef {
    /// Where the task begins.
    pub span: Span,
    /// Its id; unique only once the planner has said so.
    pub id: Spanned<String>,
    /// The name of its plugin, as written.
    pub plugin: Spanned<String>,
    /// Its inputs, as written: `task` or `task.port`.
    pub from: Vec<Spanned<String>>,
    /// The plugin's settings: a map.
    pub config: Node,
    /// The relations it is limited to.
    pub tables: Vec<Spanned<String>>,
    /// What to do with bad rows.
    pub on_bad_row: BadRowPolicy,
    /// More bad rows than this in one epoch fail the flow.
    pub max_bad_rows: usize,
    /// Its own bound on restarts.
    pub retry: Option<RetryDef>,
    /// Waits this long before it is opened.
    pub delay: Duration,
    /// Must end within this time.
    pub timeout: Option<Duration>,
    /// Flows that are run beside it.
    pub hooks: Vec<HookDef>,
    /// What it is for.
    pub description: Option<String>,
}

/// One of the keys `before`, `after`, `on_success` and `on_error`.
#[derive(Debug, Clone)]
pub struct HookDef {
    /// When.
    pub event: HookEvent,
    /// Where it stands.
    pub span: Span,
    /// What is run.
    pub run: HookRun,
}

/// What a hook runs.
#[derive(Debug, Clone)]
pub enum HookRun {
    /// The flow of a file.
    File(String),
    /// Tasks that stand in the flow's own file.
    Tasks(Vec<TaskDef>),
}

/// The key `retry` of a task.
pub type RetryDef = RetrySettings;

/// What `max_bad_rows` is without a setting; the table of keys says the same.
const MAX_BAD_ROWS: usize = 1_000;
/// As above, for `batch_rows`.
const BATCH_ROWS: usize = 8_192;
/// As above, for `retry`.
const RETRY: RetrySettings = RetrySettings { max: 5, delay: Duration::from_secs(1) };

impl FlowDef {
    /// Reads a flow from a tree that was checked; what did not pass the check has its default.
    pub(super) fn from_tree(root: &Node, params: BTreeMap<String, serde_json::Value>) -> Self {
        let section = |key: &str| root.get(key).cloned().unwrap_or(Node::new(root.span, Value::Null));
        let (tasks_node, name) = (section("tasks"), root.get("flow"));
        let tasks: Vec<TaskDef> = tasks_node.items().iter().filter_map(TaskDef::from_tree).collect();
        let names_missing = name.and_then(Node::text).is_none();
        let hooks = hooks(root);
        Self {
            name: Spanned {
                value: name.and_then(Node::text).unwrap_or("flow").to_owned(),
                span: name.map_or(root.span, |node| node.span),
            },
            description: text(root, "description"),
            params,
            delivery: root.get("delivery").and_then(|node| {
                let value = delivery(node.text()?)?;
                Some(Spanned { value, span: node.span })
            }),
            checkpoint: checkpoint(&section("checkpoint")),
            restart: restart(&section("restart")),
            channel: channel(&section("channel")),
            batch_rows: whole(root, "batch_rows").unwrap_or(BATCH_ROWS),
            incomplete: names_missing || hooks.is_none() || tasks.is_empty() || tasks.len() < tasks_node.items().len(),
            serial: root.get("execution").and_then(Node::text) == Some("serial"),
            hooks: hooks.unwrap_or_default(),
            tasks,
            tasks_span: root.entry("tasks").map_or(root.span, |entry| entry.key_span),
        }
    }
}

impl TaskDef {
    /// A task without settings, which stands in no file; what is wrong with it is shown at `span`.
    pub(crate) fn new(id: &str, plugin: &str, span: Span) -> Self {
        let spanned = |text: &str| Spanned { value: text.to_owned(), span };
        Self {
            span,
            id: spanned(id),
            plugin: spanned(plugin),
            from: Vec::new(),
            config: Node::new(span, Value::Map(Vec::new())),
            tables: Vec::new(),
            on_bad_row: BadRowPolicy::Fail,
            max_bad_rows: MAX_BAD_ROWS,
            retry: None,
            delay: Duration::ZERO,
            timeout: None,
            hooks: Vec::new(),
            description: None,
        }
    }

    /// `None` where the id, the plugin or an input cannot be read.
    fn from_tree(node: &Node) -> Option<Self> {
        let (id, plugin) = (node.get("id")?, node.get("plugin")?);
        let id_text = id.text().filter(|text| check::is_name(text, "-"))?;
        let retry = node.get("retry").map(|retry| RetrySettings {
            max: whole(retry, "max").unwrap_or(RETRY.max),
            delay: duration(retry, "delay").unwrap_or(RETRY.delay),
        });
        let config = node.get("config").cloned();
        Some(Self {
            span: node.span,
            id: Spanned { value: id_text.to_owned(), span: id.span },
            plugin: Spanned { value: plugin.text()?.to_owned(), span: plugin.span },
            from: texts(node.get("from"))?,
            config: config.unwrap_or_else(|| Node::new(plugin.span, Value::Map(Vec::new()))),
            tables: texts(node.get("tables")).unwrap_or_default(),
            on_bad_row: match node.get("on_bad_row").and_then(Node::text) {
                Some("drop") => BadRowPolicy::Drop,
                Some("dead_letter") => BadRowPolicy::DeadLetter,
                _ => BadRowPolicy::Fail,
            },
            max_bad_rows: whole(node, "max_bad_rows").unwrap_or(MAX_BAD_ROWS),
            retry,
            delay: duration(node, "delay").unwrap_or_default(),
            timeout: duration(node, "timeout"),
            hooks: hooks(node)?,
            description: text(node, "description"),
        })
    }
}

fn checkpoint(node: &Node) -> CheckpointDef {
    let default = CheckpointSettings::default();
    let settings = CheckpointSettings {
        interval: duration(node, "interval").unwrap_or(default.interval),
        timeout: duration(node, "timeout").unwrap_or(default.timeout),
        store: match node.get("store").and_then(Node::text) {
            Some("redb") => StoreKind::Redb,
            Some("sled") => StoreKind::Sled,
            _ => default.store,
        },
        receipts: match node.get("receipts").and_then(Node::text) {
            Some("none") => ReceiptKind::None,
            Some("counts") => ReceiptKind::Counts,
            Some("digests") => ReceiptKind::Digests,
            _ => default.receipts,
        },
    };
    CheckpointDef { settings, path: text(node, "path") }
}

fn restart(node: &Node) -> RestartSettings {
    let default = RestartSettings::default();
    let delay = duration(node, "delay").unwrap_or(default.delay);
    RestartSettings {
        max: whole(node, "max").unwrap_or(default.max),
        window: duration(node, "window").unwrap_or(default.window),
        delay,
        delay_max: duration(node, "delay_max").unwrap_or(default.delay_max).max(delay),
    }
}

fn channel(node: &Node) -> ChannelSettings {
    let default = ChannelSettings::default();
    let bytes = node.get("bytes").and_then(|bytes| match &bytes.value {
        Value::Int(number) => u32::try_from(*number).ok(),
        Value::String(text) => text.parse::<ByteSize>().ok().and_then(|size| u32::try_from(size.0).ok()),
        _ => None,
    });
    ChannelSettings { rows: whole(node, "rows").unwrap_or(default.rows), bytes: bytes.unwrap_or(default.bytes) }
}

/// `None` where a task of a hook's list cannot be read.
fn hooks(node: &Node) -> Option<Vec<HookDef>> {
    let there = HookEvent::ALL.iter().filter_map(|event| Some((*event, node.get(event.name())?)));
    let hook = |(event, node): (HookEvent, &Node)| {
        let run = match &node.value {
            Value::List(tasks) => HookRun::Tasks(tasks.iter().map(TaskDef::from_tree).collect::<Option<_>>()?),
            _ => HookRun::File(node.text()?.to_owned()),
        };
        Some(HookDef { event, span: node.span, run })
    };
    there.map(hook).collect()
}

fn delivery(word: &str) -> Option<Delivery> {
    match word {
        "exactly_once" => Some(Delivery::ExactlyOnce),
        "effectively_once" => Some(Delivery::EffectivelyOnce),
        "at_least_once" => Some(Delivery::AtLeastOnce),
        "best_effort" => Some(Delivery::BestEffort),
        _ => None,
    }
}

fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(Node::text).map(str::to_owned)
}

fn whole<T: TryFrom<i128>>(node: &Node, key: &str) -> Option<T> {
    match node.get(key)?.value {
        Value::Int(number) => T::try_from(number).ok(),
        _ => None,
    }
}

fn duration(node: &Node, key: &str) -> Option<Duration> {
    node.get(key)?.text()?.parse::<HumanDuration>().ok().map(|duration| duration.0)
}

/// One text or a list of texts; `None` where something else stands there.
fn texts(node: Option<&Node>) -> Option<Vec<Spanned<String>>> {
    let Some(node) = node else { return Some(Vec::new()) };
    let spanned = |node: &Node| Some(Spanned { value: node.text()?.to_owned(), span: node.span });
    match &node.value {
        Value::List(items) => items.iter().map(spanned).collect(),
        _ => Some(vec![spanned(node)?]),
    }
}
