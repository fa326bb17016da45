//! Rows that cannot be handled are data, not errors.

use arrow_array::ArrayRef;
use arrow_cast::cast;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::DataType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Batch, Error, ErrorKind, RelationName, Result};

/// A row that a task could not handle, with everything needed to mend and replay it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BadRow {
    /// The table the row belongs to, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relation: Option<RelationName>,
    /// The row: an object of column texts, or the raw line.
    pub row: serde_json::Value,
    /// Every reason why it was refused; free of cell values, because reasons reach the logs.
    pub reasons: Vec<String>,
    /// Where it stood in the source (`orders.csv line 17`), where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
}

impl BadRow {
    /// A row of a batch, refused for one reason.
    pub fn of_batch(batch: &Batch, row: usize, reason: impl Into<String>) -> Self {
        let options = FormatOptions::default();
        let mut cells = serde_json::Map::new();
        for (field, column) in batch.relation().columns().fields().iter().zip(batch.rows().columns()) {
            let column = showable(column);
            let cell = match ArrayFormatter::try_new(column.as_ref(), &options) {
                Ok(_) if column.is_null(row) => serde_json::Value::Null,
                Ok(formatter) => formatter.value(row).to_string().into(),
                Err(_) => serde_json::Value::Null,
            };
            cells.insert(field.name().clone(), cell);
        }
        Self {
            relation: Some(batch.relation().name().clone()),
            row: cells.into(),
            reasons: vec![reason.into()],
            position: None,
        }
    }
}

/// The column with a type that can be shown as text: instants in UTC.
///
/// Without a time zone database, which this build leaves out, Arrow shows no zone that has a name, `UTC` included.
pub(crate) fn showable(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            let offset = DataType::Timestamp(*unit, Some("+00:00".into()));
            cast(column, &offset).unwrap_or_else(|_| column.clone())
        }
        _ => column.clone(),
    }
}

/// What a task does with a row that it cannot handle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BadRowPolicy {
    /// Stop the flow: nothing behind the row is processed until a person has acted.
    #[default]
    Fail,
    /// Count the row and forget it.
    Drop,
    /// Keep the row in the flow's dead letters, exactly once.
    DeadLetter,
}

/// Collects a task's bad rows of one epoch under its policy.
///
/// Given to plugins by the engine. A flood (more than `max_per_epoch` rows) fails the flow whatever the policy.
#[derive(Debug)]
pub struct BadRows {
    policy: BadRowPolicy,
    max_per_epoch: usize,
    kept: Vec<BadRow>,
    in_epoch: usize,
}

impl BadRows {
    /// A collector under one policy.
    pub fn new(policy: BadRowPolicy, max_per_epoch: usize) -> Self {
        Self { policy, max_per_epoch, kept: Vec::new(), in_epoch: 0 }
    }

    /// Refuses a row.
    ///
    /// # Errors
    /// `Data` under [`BadRowPolicy::Fail`], or when the epoch has too many of them. The text names position and
    /// reasons, never the row's cells.
    pub fn reject(&mut self, row: BadRow) -> Result<()> {
        self.in_epoch += 1;
        let at = row.position.as_deref().unwrap_or("a row");
        let of = row.relation.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
        if self.policy == BadRowPolicy::Fail {
            return Err(Error::new(ErrorKind::Data, format!("{at}{of} was refused: {}", row.reasons.join("; ")))
                .with_setting("on_bad_row")
                .with_hint(
                    "mend the row at its source, or set `on_bad_row: dead_letter` on this task to keep such rows aside",
                ));
        }
        if self.in_epoch > self.max_per_epoch {
            return Err(Error::new(
                ErrorKind::Data,
                format!("more than {} rows were refused in one epoch; the last one, {at}{of}: {}", self.max_per_epoch, row.reasons.join("; ")),
            )
            .with_setting("max_bad_rows")
            .with_hint("look at the dead letters: a flood usually means a wrong setting; raise `max_bad_rows` if it is expected"));
        }
        if self.policy == BadRowPolicy::DeadLetter {
            self.kept.push(row);
        }
        Ok(())
    }

    /// Rows refused since the last [`BadRows::take`], dropped ones included.
    pub fn count(&self) -> usize {
        self.in_epoch
    }

    /// Ends the epoch: hands out what is to be kept and starts counting anew.
    pub fn take(&mut self) -> Vec<BadRow> {
        self.in_epoch = 0;
        std::mem::take(&mut self.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> BadRow {
        BadRow {
            relation: None,
            row: "1;x".into(),
            reasons: vec!["not a number".into()],
            position: Some("a.csv line 3".into()),
        }
    }

    #[test]
    fn instants_are_kept() {
        use std::sync::Arc;

        use arrow_array::{RecordBatch, TimestampMicrosecondArray};
        let stamps = TimestampMicrosecondArray::from(vec![1_500_000]).with_timezone("UTC");
        let rows = RecordBatch::try_from_iter([("at", Arc::new(stamps) as ArrayRef)]).unwrap();
        let relation = crate::Relation::new(RelationName::table("t"), rows.schema(), &["at"], 1).unwrap();
        let bad = BadRow::of_batch(&Batch::inserts(Arc::new(relation), rows).unwrap(), 0, "late");
        assert_eq!(bad.row["at"], "1970-01-01T00:00:01.500Z");
    }

    #[test]
    fn each_policy_does_what_it_says() {
        let mut fail = BadRows::new(BadRowPolicy::Fail, 10);
        let error = fail.reject(row()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.to_string().contains("a.csv line 3") && !error.to_string().contains("1;x"), "{error}");
        let mut drop = BadRows::new(BadRowPolicy::Drop, 10);
        drop.reject(row()).unwrap();
        assert_eq!((drop.count(), drop.take().len(), drop.count()), (1, 0, 0));
        let mut keep = BadRows::new(BadRowPolicy::DeadLetter, 1);
        keep.reject(row()).unwrap();
        assert!(keep.reject(row()).is_err(), "a flood stops the flow");
        assert_eq!(keep.take().len(), 1);
        keep.reject(row()).expect("a new epoch starts counting anew");
    }
}
