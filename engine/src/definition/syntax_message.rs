//! The text of mistakes that keep a file from being YAML, JSON or XML as flow files use them.

use super::message::{Message, duplicate_key, lower_first, message};

// YAML

pub(super) fn second_document() -> Message {
    message("a second YAML document begins here", "keep one flow per file: remove what follows `---`")
}

pub(super) fn yaml_alias() -> Message {
    message("YAML aliases (`*name`) are not supported", "write the value out, or make it a parameter: `${params.name}`")
}

pub(super) fn yaml_anchor() -> Message {
    message("YAML anchors (`&name`) are not supported", "remove the anchor; use a parameter for values that repeat")
}

pub(super) fn yaml_tag() -> Message {
    message("YAML tags (`!name`) are not supported", "remove the tag; put text that begins with `!` in quotes")
}

pub(super) fn yaml_merge_key() -> Message {
    message("YAML merge keys (`<<`) are not supported", "write the keys out")
}

pub(super) fn yaml_directive() -> Message {
    message("YAML directives (`%`) are not supported", "remove the line; put text that begins with `%` in quotes")
}

pub(super) fn key_not_text() -> Message {
    message("a key must be text", "write `key: value`; put values with `{`, `[` or `${…}` in quotes")
}

pub(super) fn yaml_syntax(cause: &str, line: &str) -> Message {
    let hint = match cause {
        _ if cause.contains("tab") => "indent with spaces, not tabs",
        _ if line.contains("${") => "put values with `${…}` in double quotes",
        _ if cause.contains("quote") => "close the quotes",
        _ if cause.contains("bracket") || cause.contains("flow") || cause.contains("',' or") => {
            "close every `[` and `{`, and put values that contain `[`, `]`, `{`, `}` or `,` in quotes"
        }
        _ if cause.contains("mapping values") => {
            "put values that contain `: ` in quotes, and every key on its own line"
        }
        _ if cause.contains("indent") || cause.contains("block") => {
            "keys of one map begin in the same column, and so do the `-` of one list"
        }
        _ if cause.contains("key") => "write `key: value`, with a blank behind the colon",
        _ => "check quotes, brackets and indentation here and in the line before; put special characters in quotes",
    };
    message(format!("invalid YAML: {cause}"), hint)
}

// JSON

pub(super) fn json_syntax(cause: &str) -> Message {
    message(
        format!("invalid JSON: {}", lower_first(cause)),
        "check quotes, commas and brackets here and just before; or write the flow as YAML",
    )
}

pub(super) fn json_comment() -> Message {
    message("JSON has no comments", "remove the comment, use the key `description`, or write the flow as YAML")
}

pub(super) fn json_trailing_comma() -> Message {
    message("a comma stands before the closing bracket", "remove the comma in front of it")
}

pub(super) fn json_second_value() -> Message {
    message("text follows the end of the JSON value", "remove it: a flow file holds one object")
}

pub(super) fn json_ended(what: &str) -> Message {
    message(format!("the file ends where {what} was expected"), "close every `{`, `[` and quote")
}

pub(super) fn json_expected(what: &str, found: &str) -> Message {
    message(format!("expected {what}, found `{found}`"), format!("write {what} here"))
}

pub(super) fn json_word(word: &str) -> Message {
    message(format!("`{word}` is not JSON"), format!("put it in double quotes: \"{word}\""))
}

pub(super) fn json_string() -> Message {
    message(
        "this is not a JSON string",
        "use double quotes, and write line breaks as \\n, quotes as \\\" and backslashes as \\\\",
    )
}

pub(super) fn json_number(text: &str) -> Message {
    message(
        format!("`{text}` is not a number that JSON can hold in 64 bits"),
        "write a decimal number without `+`, `0x` or leading zeros, or put it in quotes",
    )
}

// XML

pub(super) fn xml_syntax(cause: &str) -> Message {
    message(format!("invalid XML: {cause}"), "close every element, and write `<` as &lt; and `&` as &amp; in text")
}

pub(super) fn xml_unclosed(name: &str) -> Message {
    message(format!("the element <{name}> is not closed"), format!("add </{name}>"))
}

pub(super) fn xml_dtd() -> Message {
    message(
        "document types (<!DOCTYPE>) are refused: they can read files and grow without bound",
        "remove the <!DOCTYPE>",
    )
}

pub(super) fn xml_entity(name: &str) -> Message {
    message(
        format!(
            "the entity in `{name}` is refused: only &lt; &gt; &amp; &quot; &apos; and character numbers are known"
        ),
        "write the text itself, or use a parameter: ${params.name}",
    )
}

pub(super) fn xml_instruction() -> Message {
    message("processing instructions (<?…?>) are refused", "remove it; only <?xml …?> may stand in the first line")
}

pub(super) fn xml_encoding(encoding: &str) -> Message {
    message(format!("the file declares the encoding {encoding}"), "save the file as UTF-8 and declare UTF-8 or nothing")
}

pub(super) fn xml_root(name: &str) -> Message {
    message(format!("the root element is <{name}>"), "the root element of a flow file is <flow name=\"…\">")
}

pub(super) fn xml_second_root() -> Message {
    message("a second root element begins here", "keep one <flow> per file")
}

pub(super) fn xml_text_outside() -> Message {
    message("text stands outside the root element", "remove it")
}

pub(super) fn xml_mixed(name: &str) -> Message {
    message(
        format!("<{name}> holds text as well as keys"),
        "put the text into an element of its own, or remove the attributes and elements beside it",
    )
}

pub(super) fn xml_duplicate(key: &str, first_line: usize) -> Message {
    let Message { cause, hint } = duplicate_key(key, first_line);
    message(cause, format!("{hint}; a list is written as several <item> elements in one <{key}>"))
}

pub(super) fn xml_attribute() -> Message {
    message("invalid XML: this is not an attribute", "write attributes as name=\"value\"")
}
