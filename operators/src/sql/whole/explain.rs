//! Errors of DataFusion as ours.

use aqueduct_model::{Error, ErrorKind, Relation};
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use super::super::names::nearest;
use super::super::reason::reason;

/// Why a query cannot be planned over these tables. Nothing was computed yet, so no cell value is in the text.
pub(super) fn unplanned(error: DataFusionError, tables: &[&Relation]) -> Error {
    let columns = || -> Vec<String> {
        let all = tables.iter().flat_map(|relation| {
            let fields = relation.columns().fields().iter();
            fields.map(|field| format!("{}.{}", relation.name().table, field.name()))
        });
        all.collect()
    };
    if let DataFusionError::SchemaError(cause, _) = error.find_root()
        && let SchemaError::FieldNotFound { field, .. } = cause.as_ref()
    {
        let known = columns();
        let named: Vec<&str> = known.iter().map(|column| column.rsplit('.').next().unwrap_or(column)).collect();
        let list = known.join(", ");
        let hint = match nearest(&field.name, named.into_iter()) {
            Some(near) if near != field.name => format!("did you mean {near}? columns are: {list}"),
            _ => format!("columns are: {list}; text is written in single quotes"),
        };
        return Error::config(format!("there is no column {}", field.flat_name())).with_hint(hint);
    }
    Error::config("the query does not fit its tables")
        .with_hint(format!("convert with `cast(… as …)` where types differ; columns are: {}", columns().join(", ")))
        .with_source(error.strip_backtrace())
}

/// Why a query failed at work, without cell values.
pub(super) fn failed(error: DataFusionError) -> Error {
    if let Some(own) = own(&error) {
        return own;
    }
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => {
            Error::new(ErrorKind::Data, "the query needs more memory than it may take, and could not go on in files")
                .with_setting("memory")
                .with_hint("raise `memory: 1GiB`, or let the query take in fewer rows")
                .with_source(error.strip_backtrace())
        }
        DataFusionError::IoError(_) => {
            Error::new(ErrorKind::Unavailable, "the query cannot write or read its files beside the checkpoint")
                .with_hint("is the disk full?")
        }
        _ => Error::new(ErrorKind::Data, format!("a row of the query cannot be computed: {}", reason(&error)))
            .with_hint(
                "refuse such rows in front of it (Filter, Checker), or make them NULL: `try_cast(…)`, `nullif(…)`",
            ),
    }
}

/// True when there was not enough memory.
pub(super) fn is_memory(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

/// Our own error, when a table could not be read.
fn own(error: &DataFusionError) -> Option<Error> {
    let DataFusionError::External(inner) = error.find_root() else { return None };
    let inner = inner.downcast_ref::<Error>()?;
    let mut own = Error::new(inner.kind(), inner.chain());
    if let Some(hint) = inner.hint() {
        own = own.with_hint(hint);
    }
    Some(own)
}
