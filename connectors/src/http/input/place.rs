//! Where reading stands.

use std::cmp::Ordering;

use aqueduct_model::{Error, ErrorKind, Position, Result};
use serde::{Deserialize, Serialize};

/// How the next page is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ask {
    /// As the settings say.
    First,
    /// By its number.
    Page(u64),
    /// By how many rows were read.
    Offset(u64),
    /// By what the page before said.
    Cursor(String),
    /// By its address.
    Link(String),
    /// Not at all: the last page was read.
    Done,
}

/// Next to read: row `row` of page `page`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// How many pages were read before, over all looks.
    pub page: u64,
    /// How many rows of the page were handed out.
    pub row: u64,
    pub ask: Ask,
    /// Which page of its look it is.
    pub of_look: u64,
    /// Inside a page: its digest, so that another one in its place is noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The value that this look asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Mark>,
    /// The largest value so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Mark>,
    /// Digests of the rows with the largest value: an inclusive service gives them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edge: Vec<String>,
    /// Those of them that may still come again in this look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub again: Vec<String>,
    /// Inferred columns with their types.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<(String, String)>,
}

/// A value of the incremental column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mark {
    /// As it was written.
    Number(String),
    Text(String),
}

impl Mark {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Number(text) | Self::Text(text) => text,
        }
    }

    /// Which of two values is larger: numbers as numbers, instants as instants, other texts by their characters.
    ///
    /// # Errors
    /// `Data` when one is a number and the other a text.
    pub(super) fn compare(&self, other: &Self) -> Result<Ordering> {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => Ok(match (a.parse::<i128>(), b.parse::<i128>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                _ => a.parse::<f64>().unwrap_or(f64::NAN).total_cmp(&b.parse().unwrap_or(f64::NAN)),
            }),
            (Self::Text(a), Self::Text(b)) => {
                let instant = |text: &str| chrono::DateTime::parse_from_rfc3339(text).ok();
                Ok(match (instant(a), instant(b)) {
                    (Some(a), Some(b)) => a.cmp(&b),
                    _ => a.cmp(b),
                })
            }
            _ => Err(Error::new(ErrorKind::Data, "the incremental column holds a number here and a text there")
                .with_setting("incremental.column")
                .with_hint("choose a column that is always a number, or always a time")),
        }
    }
}

impl Place {
    pub(super) fn first(ask: Ask) -> Self {
        Self {
            page: 0,
            row: 0,
            ask,
            of_look: 0,
            digest: None,
            since: None,
            newest: None,
            edge: Vec::new(),
            again: Vec::new(),
            columns: Vec::new(),
        }
    }

    /// True when this lies behind the other place.
    pub(super) fn is_behind(&self, other: &Self) -> bool {
        (self.page, self.row) > (other.page, other.row)
    }

    pub(super) fn to_position(&self) -> Result<Position> {
        let value = serde_json::to_value(self).map_err(|error| Error::bug("a place has no text").with_source(error))?;
        Ok(Position::single("", value))
    }

    /// # Errors
    /// `LostPosition` for what was not written here.
    pub(super) fn of_position(position: &Position) -> Result<Option<Self>> {
        if *position == Position::default() {
            return Ok(None);
        }
        let unknown = || {
            Error::new(ErrorKind::LostPosition, "the recorded position is not one of HttpInput")
                .with_hint("start over with `aqueduct checkpoint reset`, or restore the checkpoint of this flow")
        };
        let value = position.offset("").filter(|_| position.0.len() == 1).ok_or_else(unknown)?.clone();
        serde_json::from_value(value).map(Some).map_err(|error| unknown().with_source(error))
    }
}
