//! What DuckDB's errors mean to us.
//!
//! DuckDB says what went wrong in the text only, as `<Class> Error: …`. Some classes quote cell values; of those the
//! text is dropped.

use aqueduct_model::{Error, ErrorKind};

/// Turns an error of DuckDB into ours.
pub(super) fn failed(doing: impl Into<String>, error: duckdb::Error) -> Error {
    let text = match &error {
        duckdb::Error::DuckDBFailure(_, Some(text)) => text.clone(),
        other => other.to_string(),
    };
    let doing = doing.into();
    let has = |part: &str| text.contains(part);
    if has("Could not set lock on file") || has("Conflicting lock") {
        let owner = lock_owner(&text).map(|pid| format!(" (process {pid})")).unwrap_or_default();
        return Error::new(ErrorKind::Unavailable, format!("{doing}: another process{owner} has the file open"))
            .with_hint(format!(
                "DuckDB allows one process per file: end{} or point `path` elsewhere",
                lock_owner(&text)
                    .map(|pid| format!(" process {pid} or pause its flow,"))
                    .unwrap_or_else(|| " the other process,".to_owned())
            ));
    }
    if has("not a valid DuckDB database") || has("is a directory") {
        return Error::new(ErrorKind::Config, doing)
            .with_source(error)
            .with_setting("path")
            .with_hint("the file is no DuckDB database: correct `path`");
    }
    if has("Permission denied") {
        return Error::new(ErrorKind::Auth, doing)
            .with_source(error)
            .with_setting("path")
            .with_hint("give this user write access to the database file and to its folder");
    }
    if has("Out of Memory Error") {
        return Error::new(ErrorKind::Config, doing)
            .with_source(error)
            .with_setting("memory_limit")
            .with_hint("raise `memory_limit`, or lower `staging_bytes`");
    }
    let class = text.split(" Error:").next().unwrap_or_default();
    let kind = match class {
        "Constraint" | "Conversion" | "Invalid Input" | "Out of Range" | "Mismatch Type" => {
            let reason = format!("{doing}: {} error", class.to_lowercase());
            return Error::new(ErrorKind::Data, reason).with_hint(
                "the target's constraints or column types do not fit the rows: compare them with the source's",
            );
        }
        "Catalog" | "Binder" | "Parser" | "Dependency" | "Not implemented" => ErrorKind::Schema,
        // Conflicts, I/O, and databases that went read-only after an internal error: a fresh connection looks anew.
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, doing).with_source(error)
}

/// The process that holds the lock, as DuckDB names it: `(PID 123)`.
fn lock_owner(text: &str) -> Option<u32> {
    let digits = text.split("PID ").nth(1)?;
    digits.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> Error {
        failed("writing", duckdb::Error::DuckDBFailure(duckdb::ffi::Error::new(1), Some(text.to_owned())))
    }

    #[test]
    fn a_lock_names_its_owner_and_is_retried() {
        let error = error(
            "IO Error: Could not set lock on file \"/x/a.duckdb\": Conflicting lock is held in /usr/bin/duckdb (PID 4711) by user x. See also …",
        );
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.hint().unwrap().contains("4711"), "{error:?}");
    }

    #[test]
    fn values_are_not_repeated() {
        let error = error("Constraint Error: Duplicate key \"card: 4000-1234\" violates unique constraint");
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(!error.chain().contains("4000"), "{error:?}");
    }
}
