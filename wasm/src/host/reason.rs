//! Why a call failed, without the row's values.

use wasmtime::{Error, Trap};

use super::meter::NoMemory;
use crate::failure::Failed;

/// The shortest text of a component's own that is told. Shorter ones may stand in a component by chance.
const TOLD_BYTES_MIN: usize = 8;

/// What is told of an error of the runtime; `started`: the function was called.
pub(super) fn failure(error: &Error, started: bool) -> Failed {
    match error.downcast_ref::<NoMemory>() {
        Some(NoMemory::TooMuch) => {
            return Failed::Row("the component takes too much memory (`limits.memory`)".to_owned());
        }
        Some(NoMemory::OfSystem) => return Failed::Host(format!("{error:#}")),
        None => {}
    }
    let Some(trap) = error.downcast_ref::<Trap>() else {
        // Behind the start, only what the function gives can be at fault: a text that is no UTF-8, a place outside of
        // its memory, too much of it.
        return match started {
            true => Failed::Row("the component gives no list of values, or more than `limits.memory`".to_owned()),
            false => Failed::Host(format!("{error:#}")),
        };
    };
    Failed::Row(match trap {
        Trap::Interrupt => return Failed::Time,
        Trap::OutOfFuel => "the component takes too many steps (`limits.fuel`)".to_owned(),
        Trap::StackOverflow => "functions of the component call each other too deeply".to_owned(),
        Trap::IntegerDivisionByZero => "division by zero".to_owned(),
        Trap::UnreachableCodeReached => "the component gives up (`unreachable`)".to_owned(),
        // Texts of the runtime's own, one for each kind.
        other => format!("the component fails ({})", other.to_string().trim_start_matches("wasm trap: ")),
    })
}

/// The reason that a component gives itself. As it may be made of values, it is told only if it stands in the component
/// as it is.
pub(super) fn own(text: &str, component: &[u8]) -> String {
    let stands = |text: &str| component.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    if text.len() >= TOLD_BYTES_MIN && stands(text) { text.to_owned() } else { "the component refuses it".to_owned() }
}
