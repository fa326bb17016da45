//! Why a script failed for a row, without the row's values.

use rhai::EvalAltResult;

use super::sandbox::place;

/// How a script ended without a value.
pub(super) enum Failed {
    /// The row is bad; the reason.
    Row(String),
    /// It took too long, which another run may find otherwise.
    Time,
}

/// What is told of an error. rhai's own texts quote values, so most of them are told by their kind only; names and texts
/// are told if they stand in the script.
pub(super) fn reason(error: &EvalAltResult, script: &str) -> Failed {
    let in_script = |text: &str| !text.is_empty() && script.contains(text);
    let (text, position) = match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, position) => {
            let Failed::Row(text) = reason(inner, script) else { return Failed::Time };
            let place = if text.ends_with("of the script)") { String::new() } else { place(*position) };
            return Failed::Row(format!("{text}{place}"));
        }
        EvalAltResult::ErrorTerminated(..) => return Failed::Time,
        EvalAltResult::ErrorRuntime(thrown, position) => {
            let thrown = thrown.clone().into_immutable_string().ok().filter(|text| in_script(text));
            (thrown.map_or_else(|| "the script refuses it".to_owned(), |text| text.to_string()), *position)
        }
        EvalAltResult::ErrorArithmetic(cause, position) => (arithmetic(cause).to_owned(), *position),
        EvalAltResult::ErrorFunctionNotFound(signature, position) => {
            (format!("there is no function {signature}"), *position)
        }
        EvalAltResult::ErrorVariableNotFound(name, position) => (format!("there is no variable {name}"), *position),
        EvalAltResult::ErrorPropertyNotFound(name, position) if in_script(name) => {
            (format!("there is no property {name}"), *position)
        }
        EvalAltResult::ErrorMismatchDataType(wanted, got, position) => {
            (format!("{} where {wanted} is needed", nothing(got)), *position)
        }
        EvalAltResult::ErrorTooManyOperations(position) => ("it takes too many steps".to_owned(), *position),
        EvalAltResult::ErrorStackOverflow(position) => ("functions call each other too deeply".to_owned(), *position),
        EvalAltResult::ErrorDataTooLarge(what, position) => (format!("too large a value: {what}"), *position),
        other => (other_kind(other).to_owned(), other.position()),
    };
    Failed::Row(format!("{text}{}", place(position)))
}

fn arithmetic(cause: &str) -> &'static str {
    if cause.to_lowercase().contains("division by zero") || cause.to_lowercase().contains("modulo division") {
        "division by zero"
    } else if cause.contains("no decimal") {
        "a value is no decimal"
    } else if cause.contains("no whole number") {
        "a decimal is no whole number"
    } else {
        "a number is too large"
    }
}

fn nothing(got: &str) -> &str {
    if got == "()" { "NULL" } else { got }
}

fn other_kind(error: &EvalAltResult) -> &'static str {
    match error {
        EvalAltResult::ErrorPropertyNotFound(..) | EvalAltResult::ErrorIndexNotFound(..) => "there is no such property",
        EvalAltResult::ErrorArrayBounds(..) | EvalAltResult::ErrorStringBounds(..) => "an index is out of bounds",
        EvalAltResult::ErrorIndexingType(..) => "a value cannot be indexed",
        EvalAltResult::ErrorFor(..) => "a value cannot be gone through",
        EvalAltResult::ErrorTooManyVariables(..) => "there are too many variables",
        _ => "the script fails",
    }
}
