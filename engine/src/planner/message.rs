//! The text of every mistake that planning can find: what is wrong, and what to do about it.

use aqueduct_model::PluginEntry;

use crate::definition::{Message, message, suggest};

pub(super) fn unexplained() -> Message {
    message(
        "the flow cannot be planned, and no reason was given",
        "report this as a bug of aqueduct, with the flow file",
    )
}

pub(super) fn unknown_plugin<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Message {
    message(format!("there is no plugin `{name}`"), suggest(name, known, "the plugins are"))
}

pub(super) fn not_a_placed_source(plugin: &str, named: &str) -> Message {
    message(
        format!("{plugin} cannot go through the rows of {named}, which is no source of its own"),
        "name a source, such as SQLiteInput, PostgresInput or CSVInput",
    )
}

pub(super) fn beside_placed(plugin: &str, setting: &str, other: &str) -> Message {
    message(
        format!("{plugin} has both `{setting}` and `{other}`"),
        format!("keep one of them: with `{setting}` the rows come as the source gives them"),
    )
}

pub(super) fn no_placed_source(plugin: &str, setting: &str) -> Message {
    message(
        format!("{plugin}: `{setting}` is a list, and not a source"),
        format!("write `{setting}: {{ plugin: SQLiteInput, config: {{ … }} }}`"),
    )
}

pub(super) fn unknown_in_placed(setting: &str, key: &str) -> Message {
    message(
        format!("unknown setting `{key}` in `{setting}`"),
        format!(
            "write `{setting}: {{ plugin: SQLiteInput, config: {{ … }} }}`; settings of the source go under `config`"
        ),
    )
}

pub(super) fn duplicate_id(id: &str, first_line: usize) -> Message {
    message(
        format!("two tasks have the id `{id}`; the first one is in line {first_line}"),
        "give one of them another id",
    )
}

pub(super) fn unknown_input<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Message {
    message(format!("there is no task `{name}`"), suggest(name, known, "the tasks are"))
}

pub(super) fn own_input(id: &str) -> Message {
    message(format!("the task `{id}` names itself as its input"), "name the task that feeds it")
}

pub(super) fn unknown_port(task: &str, port: &str, ports: &[String]) -> Message {
    let hint = match ports {
        [only] => format!("its only output is `{only}`: write `{task}`"),
        _ => suggest(port, ports.iter().map(String::as_str), "its outputs are"),
    };
    message(format!("the task `{task}` has no output `{port}`"), hint)
}

pub(super) fn input_is_sink(task: &str, plugin: &str) -> Message {
    message(
        format!("the task `{task}` ({plugin}) is a sink: nothing can read from it"),
        "name the task that feeds the sink instead: one task may feed several others",
    )
}

pub(super) fn duplicate_input(name: &str) -> Message {
    message(format!("the input `{name}` comes twice: every row would be doubled"), "keep one of the two")
}

pub(super) fn endless_per_row(plugin: &str) -> Message {
    message(
        format!("with an input, {plugin} is read to its end once per row, and with these settings it never ends"),
        "choose settings with an end (see the plugin's page), or remove `from`",
    )
}

pub(super) fn never_ends_before(task: &str, next: &str) -> Message {
    message(
        format!("`{task}` never ends, and with `execution: serial` `{next}` would wait for that forever"),
        format!("put the pipeline of `{task}` last, let it end by itself, or write `execution: parallel`"),
    )
}

pub(super) fn unknown_first_input<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Message {
    let hint = suggest(name, known, "name it there too, or one of those that stand there");
    message(format!("`{name}` is no input of this task: it does not stand in `from`"), hint)
}

pub(super) fn only_first_inputs(plugin: &str) -> Message {
    message(
        format!("every input of this {plugin} is a reference, so no rows are left to look at"),
        "name the task whose rows are looked at in `from` too; a table that refers to itself needs a second source task",
    )
}

pub(super) fn endless_first_input(input: &str, source: &str, plugin: &str) -> Message {
    message(
        format!("`{input}` is read to its end before the other inputs, but the task `{source}` ({plugin}) never ends"),
        JOINED_INSTEAD,
    )
}

pub(super) fn changes_into_first_input(input: &str, source: &str, plugin: &str) -> Message {
    message(
        format!("`{input}` is read once, as it is, but the task `{source}` ({plugin}) emits updates and deletes"),
        JOINED_INSTEAD,
    )
}

/// What does for a table that changes what a first input does for one that does not.
const JOINED_INSTEAD: &str = "read the table as it is, such as with MySQLInput instead of CdcInput; one that changes is \
                              followed by a task Join, `mode: changelog`, `type: semi` or `anti`";

pub(super) fn first_input_on_both_sides(input: &str, source: &str) -> Message {
    message(
        format!(
            "the rows of `{source}` come by `{input}`, which is read to its end first, and by another input as well"
        ),
        "read it twice: a second source task with the same settings feeds one of the two inputs",
    )
}

pub(super) fn first_inputs_in_a_circle() -> Message {
    message(
        "inputs that are read to their end first wait for each other",
        "read one of them twice: a second source task with the same settings",
    )
}

pub(super) fn no_row(plugin: &str, is_source: bool) -> Message {
    let hint = match is_source {
        true => "name the task whose rows they are: `from: <task>`; the source is read once per row then",
        false => "use the column itself in an expression; `${row.x}` is for sources with an input, SubFlow and While",
    };
    message(format!("there is no row that `${{row.…}}` could name in the settings of this {plugin}"), hint)
}

pub(super) fn no_input<'a>(plugin: &str, known: impl IntoIterator<Item = &'a str>) -> Message {
    let known: Vec<&str> = known.into_iter().collect();
    let hint = match known.is_empty() {
        true => "add a source task, and name it here: `from: <task>`".to_owned(),
        false => format!("add `from: <task>`; tasks that can feed it are: {}", known.join(", ")),
    };
    message(format!("{plugin} needs an input"), hint)
}

pub(super) fn input_count(plugin: &str, found: usize, (least, most): (usize, usize)) -> Message {
    let wanted = match (least, most) {
        (least, usize::MAX) => format!("at least {least}"),
        (least, most) if least == most => format!("{least}"),
        (least, most) => format!("{least} to {most}"),
    };
    let hint = match found > most && most == 1 {
        true => "merge the inputs with a Union task first".to_owned(),
        false => format!("name {wanted} in `from`"),
    };
    message(format!("{plugin} takes {wanted} inputs, found {found}"), hint)
}

pub(super) fn cycle(ids: &[&str]) -> Message {
    message(
        format!("the tasks feed each other in a circle: {}", ids.join(" → ")),
        "remove one of these inputs: rows flow from sources to sinks",
    )
}

pub(super) fn no_sink<'a>(sinks: impl IntoIterator<Item = &'a str>) -> Message {
    let sinks: Vec<&str> = sinks.into_iter().collect();
    message("the flow has no sink: its rows would go nowhere", format!("add a task with one of: {}", sinks.join(", ")))
}

pub(super) fn unread_task(plugin: &str) -> Message {
    message(format!("no task reads the rows of this {plugin}"), "name the task in another task's `from`, or remove it")
}

pub(super) fn unread_port(task: &str, port: &str) -> Message {
    message(
        format!("no task reads the output `{port}`: its rows are discarded"),
        format!("name `{task}.{port}` in another task's `from`, if they matter"),
    )
}

pub(super) fn tables_not_operator(plugin: &str) -> Message {
    message(
        format!("`tables` limits operators; {plugin} is none"),
        "choose the tables in the source's own settings, or with a Filter task",
    )
}

pub(super) fn changes_into_append_only(
    source: &str,
    source_plugin: &str,
    sink_plugin: &str,
    mode: Option<&str>,
) -> Message {
    let hint = match mode {
        Some(mode) => format!("set `{mode}` of this task to one that takes changes (`upsert`), or choose another sink"),
        None => "choose a sink that takes changes, or a source that emits inserts only".to_owned(),
    };
    message(
        format!(
            "{sink_plugin} takes inserts only, but the task `{source}` ({source_plugin}) emits updates and deletes"
        ),
        hint,
    )
}

pub(super) fn changes_into_operator(source: &str, source_plugin: &str, plugin: &str) -> Message {
    message(
        format!(
            "{plugin} with these settings takes inserts only, but the task `{source}` ({source_plugin}) emits updates \
             and deletes"
        ),
        match over_changes(plugin) {
            Some(other) => format!("{other}; or read the tables as they are, with a source that emits inserts only"),
            None => "choose settings that take changes (see the plugin's page), or a source that emits inserts only"
                .to_owned(),
        },
    )
}

pub(super) fn endless_into_operator(source: &str, source_plugin: &str, plugin: &str) -> Message {
    message(
        format!(
            "{plugin} with these settings waits for the end of its input, but the task `{source}` \
             ({source_plugin}) never ends"
        ),
        match over_changes(plugin) {
            Some(other) => format!("{other}; or give the source an end"),
            None => "choose settings that need no end (see the plugin's page), or give the source one".to_owned(),
        },
    )
}

pub(super) fn timeless_into_operator(source: &str, source_plugin: &str, plugin: &str) -> Message {
    message(
        format!(
            "{plugin} with these settings gives its rows as event time comes on, but nothing says how far it has come in \
             the rows of the task `{source}` ({source_plugin}), which never ends"
        ),
        format!(
            "put a task Watermark between the two: `plugin: Watermark, from: {source}, config: {{ time: <its event \
             time> }}`"
        ),
    )
}

/// What does on streams and changelogs what an operator does at the end of its input.
fn over_changes(plugin: &str) -> Option<&'static str> {
    match plugin {
        "SQL" => Some(
            "use a task Group for totals, Unique or Duplicate for `distinct`, and SQL for what each row says alone",
        ),
        "Join" => Some(
            "write `mode: changelog` for tables that change, and `interval` or `as_of` for endless inputs that have inserts \
             only",
        ),
        "Unique" => Some("use a task Group with `count(*)`"),
        "Duplicate" => Some("use a horizon (`rows: 10000`, or `within: 10m` with `time_column`)"),
        "Sort" => Some("keep the table at the target and sort there"),
        _ => None,
    }
}

pub(super) fn delivery_not_given(asked: &str, given: &str, task: &str, plugin: &str, reason: &str) -> Message {
    message(
        format!("the flow asks for {asked}, but the task `{task}` ({plugin}) allows {given} only: {reason}"),
        format!("change that setting or task, or set `delivery: {given}`"),
    )
}

pub(super) fn setting(cause: String, hint: String) -> Message {
    message(cause, hint)
}

pub(super) fn see_plugin(entry: &PluginEntry) -> String {
    format!("see `aqueduct plugins show {}`", entry.name)
}
