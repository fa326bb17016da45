//! The table of keys of a flow file: the reader, the editor schema and the reference pages are made from it.

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
    /// What holds without it, as it would be written.
    pub default: Option<&'static str>,
    /// What it does, in one or two sentences.
    pub description: &'static str,
}

/// What may stand at a key.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// The name of a flow: it becomes a folder name.
    FlowName,
    /// The id of a task.
    TaskId,
    /// The name of a plugin.
    Plugin,
    /// Any text.
    Text,
    /// Any value.
    Any,
    /// `true` or `false`.
    Flag,
    /// A whole number between the two, inclusive.
    Whole(u64, u64),
    /// A duration such as `1s`, at least so many milliseconds.
    Duration(u64),
    /// A size such as `64MiB`, between the two, inclusive, in bytes.
    Size(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A map with these keys.
    Section(&'static [Key]),
    /// The parameters: any names.
    Params,
    /// The list of tasks, each a map with these keys.
    Tasks(&'static [Key]),
    /// A flow file, or a list of tasks as in [`HOOK_TASK`].
    Hook,
    /// One text or a list of texts: task ids or patterns.
    Texts,
    /// A plugin's settings.
    Config,
}

const fn key(name: &'static str, kind: Kind, default: Option<&'static str>, description: &'static str) -> Key {
    Key { name, kind, required: false, default, description }
}

const fn required(name: &'static str, kind: Kind, description: &'static str) -> Key {
    Key { name, kind, required: true, default: None, description }
}

/// The key under which a flow's tests stand.
pub const TESTS: &str = "tests";

/// The keys at the top of a flow file.
pub const FLOW: &[Key] = &[
    required(
        "flow",
        Kind::FlowName,
        "The flow's name: letters, digits, `_`, `-` and `.`, at most 64. Checkpoints are kept under it.",
    ),
    key("description", Kind::Text, None, "What the flow is for."),
    key(
        "params",
        Kind::Params,
        None,
        "Parameters, used as `${params.name}`: a name with its default, or with `{ type, default, required, description }`.",
    ),
    key(
        "delivery",
        Kind::Choice(&["auto", "exactly_once", "effectively_once", "at_least_once", "best_effort"]),
        Some("auto"),
        "What the flow must give end to end. It does not start if it cannot; `auto` takes the best that its tasks give.",
    ),
    key(
        "execution",
        Kind::Choice(&["parallel", "serial"]),
        Some("parallel"),
        "Whether pipelines that do not read from each other run side by side, or one after the other in the order of the \
         file: a source is opened once everything before it has ended and is durable.",
    ),
    key("checkpoint", Kind::Section(CHECKPOINT), None, "How often and where the flow's state is made durable."),
    key(
        "restart",
        Kind::Section(RESTART),
        None,
        "How often the flow is restarted after failures before it is given up.",
    ),
    key("channel", Kind::Section(CHANNEL), None, "The bound of every channel between two tasks."),
    key("batch_rows", Kind::Whole(1, 1 << 20), Some("8192"), "At most this many rows in a batch that a source makes."),
    key(
        "before",
        Kind::Hook,
        None,
        "A flow file, or a list of tasks, that is run before the tasks, once in the flow's life.",
    ),
    key(
        "after",
        Kind::Hook,
        None,
        "A flow file, or a list of tasks, that is run when the flow has ended, well or not.",
    ),
    key("on_success", Kind::Hook, None, "A flow file, or a list of tasks, that is run when the flow has finished."),
    key(
        "on_error",
        Kind::Hook,
        None,
        "A flow file, or a list of tasks, that is run when the flow has failed for good.",
    ),
    required("tasks", Kind::Tasks(TASK), "The tasks, in any order."),
    key(TESTS, Kind::Any, None, "Tests of the flow, for `aqueduct test`: see docs/testing.md. Not read by a run."),
    key("$schema", Kind::Text, None, "Where an editor finds the schema of this file; not read."),
];

/// The keys of `checkpoint`.
pub const CHECKPOINT: &[Key] = &[
    key("interval", Kind::Duration(1), Some("1s"), "Time between two checkpoints."),
    key(
        "timeout",
        Kind::Duration(1),
        Some("10m"),
        "A checkpoint that takes longer fails the flow, which is then restarted.",
    ),
    key("store", Kind::Choice(&["sled", "redb"]), Some("sled"), "Which store holds the checkpoints."),
    key(
        "receipts",
        Kind::Choice(&["none", "counts", "digests"]),
        Some("counts"),
        "What the receipt of every checkpoint says of its rows: nothing, how many, or also a digest of them.",
    ),
    key("path", Kind::Text, None, "The folder for the flow's state, instead of one under the daemon's state folder."),
];

/// The keys of `restart`.
pub const RESTART: &[Key] = &[
    key("max", Kind::Whole(0, 1_000_000), Some("5"), "Restarts allowed in the window; one more fails the flow."),
    key("window", Kind::Duration(1), Some("1m"), "The window in which restarts are counted."),
    key("delay", Kind::Duration(0), Some("500ms"), "The wait before the first restart, doubled each time."),
    key("delay_max", Kind::Duration(0), Some("1m"), "The longest wait."),
];

/// The keys of `channel`.
pub const CHANNEL: &[Key] = &[
    key("rows", Kind::Whole(1, 1 << 24), Some("32768"), "Rows in flight; a sender waits when they are reached."),
    key("bytes", Kind::Size(1 << 16, 1 << 30), Some("32MiB"), "Bytes in flight; a sender waits when they are reached."),
];

/// The keys of a task; those of its hooks last.
pub const TASK: &[Key] = &[
    required("id", Kind::TaskId, "The task's id, unique in the flow: letters, digits, `_` and `-`, at most 64."),
    required("plugin", Kind::Plugin, "The plugin that does the work; case does not matter."),
    key("from", Kind::Texts, None, "The inputs: `task` or `task.port`, one or a list."),
    key("config", Kind::Config, None, "The plugin's settings."),
    key(
        "tables",
        Kind::Texts,
        None,
        "Limits an operator to these relations (`orders`, `shop.*`); the rest passes through unchanged.",
    ),
    key(
        "on_bad_row",
        Kind::Choice(&["fail", "drop", "dead_letter"]),
        Some("fail"),
        "What to do with rows that the task cannot handle.",
    ),
    key(
        "max_bad_rows",
        Kind::Whole(0, u32::MAX as u64),
        Some("1000"),
        "More bad rows than this in one epoch fail the flow, whatever `on_bad_row` says.",
    ),
    key("retry", Kind::Section(RETRY), None, "Restarts after failures of this task, instead of the flow's `restart`."),
    key("delay", Kind::Duration(0), Some("0s"), "Waits this long before the task is opened."),
    key("timeout", Kind::Duration(1), None, "The task must end within this time."),
    key("description", Kind::Text, None, "What the task is for."),
    key(
        "before",
        Kind::Hook,
        None,
        "A flow file, or a list of tasks, that is run before the flow's tasks, once in the flow's life.",
    ),
    key(
        "after",
        Kind::Hook,
        None,
        "A flow file, or a list of tasks, that is run when the flow has ended, well or not.",
    ),
    key(
        "on_success",
        Kind::Hook,
        None,
        "A flow file, or a list of tasks, that is run when the flow has finished, and this task with it.",
    ),
    key(
        "on_error",
        Kind::Hook,
        None,
        "A flow file, or a list of tasks, that is run when the flow has failed for good because of this task.",
    ),
];

/// The keys of a task in the list of a hook.
pub const HOOK_TASK: &[Key] = TASK.split_at(TASK.len() - 4).0;

/// The keys of `retry`.
pub const RETRY: &[Key] = &[
    key("max", Kind::Whole(0, 1_000_000), Some("5"), "Restarts in a row without a checkpoint between them."),
    key("delay", Kind::Duration(0), Some("1s"), "The wait before the first one, doubled each time."),
];

/// The types of parameters.
pub const TYPES: &[&str] = &["string", "integer", "number", "boolean", "list"];

/// The keys of a parameter that is written as a map.
pub const PARAM: &[Key] = &[
    key("type", Kind::Choice(TYPES), None, "The parameter's type; without it that of the default."),
    key("default", Kind::Any, None, "The value when none is given."),
    key("required", Kind::Flag, None, "Whether a value must be given."),
    key("description", Kind::Text, None, "What the parameter is for."),
];

/// Keys that the design knows and this version does not.
pub const LATER: &[&str] = &["schedule"];

/// At most this many tasks in a flow.
pub const TASKS_MAX: usize = 500;
