//! The offset of the source: what was handed out last.

use aqueduct_model::{Error, ErrorKind, Position, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where reading goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum Place {
    /// Behind the row with these values in the columns that order the reading.
    After(Vec<Value>),
    /// Without an order: so many rows were read. A restart begins anew.
    Rows(u64),
    /// Without an order: all rows were read.
    AllRows(u64),
}

impl Place {
    /// The place of a position; the empty position is the beginning.
    ///
    /// # Errors
    /// `State` when the position is of another kind.
    pub(super) fn of(position: &Position) -> Result<Option<Self>> {
        if position.0.is_empty() {
            return Ok(None);
        }
        let offset = position.offset("").cloned().unwrap_or_default();
        serde_json::from_value(offset).map(Some).map_err(|e| foreign("it is not one of this plugin").with_source(e))
    }

    /// The position of a place.
    pub(super) fn position(place: Option<&Self>) -> Position {
        match place {
            None => Position::default(),
            Some(place) => {
                Position::single("", serde_json::to_value(place).expect("a place is plain data with string keys"))
            }
        }
    }
}

/// A recorded position that does not fit the settings.
pub(super) fn foreign(why: &str) -> Error {
    Error::new(ErrorKind::State, format!("the recorded position cannot be used: {why}"))
        .with_hint("put the settings back as they were, or start the flow anew with `aqueduct checkpoint reset`")
}
