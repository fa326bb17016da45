//! The text of every mistake that reading a flow file can find: what is wrong, and what to do about it.
//!
//! One function per kind of mistake, so that the texts can be reviewed, and translated, in one place.

use super::keys::{LATER, TASKS_MAX};
use super::near::nearest;

/// What is wrong and what to do: lower case, no full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What is wrong.
    pub cause: String,
    /// What to do about it.
    pub hint: String,
}

/// Makes a message of its two texts.
pub(crate) fn message(cause: impl Into<String>, hint: impl Into<String>) -> Message {
    Message { cause: cause.into(), hint: hint.into() }
}

/// "did you mean", or the whole list where nothing is near.
pub(crate) fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>, known: &str) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    match nearest(word, candidates.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("{known}: {}", candidates.join(", ")),
    }
}

pub(super) fn cannot_read(error: &std::io::Error) -> Message {
    message(format!("cannot read the flow file: {error}"), "check the path, and that you may read the file")
}

pub(super) fn is_a_folder() -> Message {
    message("the flow file is a folder", "name a .yaml, .json or .xml file in it")
}

pub(super) fn too_large(bytes_max: u64) -> Message {
    message(
        format!("the flow file is larger than {} KiB", bytes_max >> 10),
        "a flow file holds settings, not data: move data into a file that a source reads",
    )
}

pub(super) fn not_utf8(byte: u8) -> Message {
    let hint = match byte {
        0xfe | 0xff => "the file looks like UTF-16: save it as UTF-8",
        _ => "save the file as UTF-8",
    };
    message(format!("the flow file is not UTF-8: byte 0x{byte:02x}"), hint)
}

pub(super) fn empty_file() -> Message {
    message("the flow file is empty", "write at least `flow: <name>` and `tasks:`, or start with `aqueduct init`")
}

pub(super) fn not_a_map(found: &str) -> Message {
    message(
        format!("a flow file is a map of keys, not {found}"),
        "begin with `flow: <name>` and put the tasks under `tasks:`",
    )
}

pub(super) fn too_deep(depth_max: usize) -> Message {
    message(format!("nested deeper than {depth_max} levels"), format!("use at most {depth_max} levels"))
}

pub(super) fn duplicate_key(key: &str, first_line: usize) -> Message {
    message(
        format!("the key `{key}` comes twice; the first one is in line {first_line}"),
        format!("keep one of the two `{key}`"),
    )
}

// Keys and values

pub(super) fn unknown_key<'a>(key: &str, place: &str, known: impl IntoIterator<Item = &'a str>) -> Message {
    let cause = format!("unknown key `{key}` in {place}");
    if LATER.contains(&key) {
        return message(cause, format!("`{key}` is not in this version of aqueduct: remove it"));
    }
    message(cause, suggest(key, known, "the keys are"))
}

pub(super) fn missing_key(key: &str, place: &str, description: &str) -> Message {
    message(
        format!("the key `{key}` is missing in {place}"),
        format!("add `{key}`: {}", lower_first(description).trim_end_matches('.')),
    )
}

pub(super) fn wrong_type(key: &str, expected: &str, found: &str, hint: &str) -> Message {
    message(format!("`{key}` must be {expected}, found {found}"), hint)
}

pub(super) fn bad_value(key: &str, cause: &str, hint: &str) -> Message {
    message(format!("`{key}`: {cause}"), hint)
}

pub(super) fn not_a_choice(key: &str, found: &str, choices: &[&str]) -> Message {
    let hint = match nearest(found, choices.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? the values are: {}", choices.join(", ")),
        None => format!("the values are: {}", choices.join(", ")),
    };
    message(format!("`{key}` cannot be `{found}`"), hint)
}

pub(super) fn no_tasks() -> Message {
    message("the flow has no tasks", "add at least a source and a sink under `tasks`")
}

pub(super) fn too_many_tasks(count: usize) -> Message {
    message(format!("the flow has {count} tasks; at most {TASKS_MAX} are allowed"), "split it into several flows")
}

pub(super) fn delays_crossed() -> Message {
    message("`delay_max` is shorter than `delay`", "make `delay_max` at least as long as `delay`")
}

// Parameters and expansion

pub(super) fn bad_param_name(name: &str) -> Message {
    message(format!("`{name}` cannot be the name of a parameter"), "use letters, digits and `_`, at most 64")
}

pub(super) fn unknown_param<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Message {
    let known: Vec<&str> = known.into_iter().collect();
    let hint = match known.is_empty() {
        true => format!("declare it: `params: {{ {name}: <default> }}`"),
        false => suggest(name, known, "the parameters are"),
    };
    message(format!("unknown parameter `{name}`"), hint)
}

pub(super) fn unknown_override<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Message {
    let Message { hint, .. } = unknown_param(name, known);
    message(format!("the flow has no parameter `{name}`, but a value was given for it"), hint)
}

pub(super) fn missing_param(name: &str) -> Message {
    message(
        format!("the parameter `{name}` has no value"),
        format!("give one with `--param {name}=<value>`, or add a default"),
    )
}

pub(super) fn param_type(name: &str, expected: &str, found: &str) -> Message {
    message(
        format!("the parameter `{name}` must be of type {expected}, found {found}"),
        format!("give a value of type {expected}, or change the parameter's `type`"),
    )
}

pub(super) fn param_required_with_default(name: &str) -> Message {
    message(format!("the parameter `{name}` is required and has a default"), "remove `default`, or `required: true`")
}

pub(super) fn param_value(name: &str, found: &str) -> Message {
    message(
        format!("the default of the parameter `{name}` cannot be {found}"),
        "use a text, a number, true, false, or a list of these",
    )
}

pub(super) fn unclosed_expansion() -> Message {
    message("`${` is not closed", "close it with `}`; write `$${` for the two characters themselves")
}

pub(super) fn unknown_expansion<'a>(inner: &str, params: impl IntoIterator<Item = &'a str>) -> Message {
    let hint = match nearest(inner, params) {
        Some(near) => format!("did you mean `${{params.{near}}}`?"),
        None => "write ${params.name}, ${env:NAME}, ${env:NAME:-default} or ${file:path}; $${ for the characters \
                 themselves"
            .to_owned(),
    };
    message(format!("`${{{inner}}}` cannot be expanded"), hint)
}

pub(super) fn nested_expansion() -> Message {
    message("an expansion cannot stand inside another one", "give the value through a parameter instead")
}

pub(super) fn param_in_params() -> Message {
    message("a parameter cannot refer to another one", "write the value out, or use ${env:NAME} or ${file:path}")
}

pub(super) fn list_inside_text(name: &str) -> Message {
    message(
        format!("the parameter `{name}` is a list and cannot stand inside a text"),
        format!("use \"${{params.{name}}}\" alone as the whole value"),
    )
}

pub(super) fn missing_env(name: &str) -> Message {
    message(
        format!("the environment variable `{name}` is not set"),
        format!("set {name}, or give a default: ${{env:{name}:-<default>}}"),
    )
}

pub(super) fn missing_file(path: &str, error: &std::io::Error) -> Message {
    message(
        format!("cannot read the file `{path}`: {error}"),
        "create the file, correct the path (it is relative to the working directory), or its permissions",
    )
}

pub(super) fn literal_secret(key: &str) -> Message {
    message(
        format!("`{key}` looks like a secret and is written into the flow file"),
        "take it from the environment or a file: ${env:NAME} or ${file:path}",
    )
}

/// Texts of other crates begin with a capital letter; abbreviations (`SQL`) stay.
pub(crate) fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}
