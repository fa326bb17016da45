//! REPLACE under `binlog_row_image=MINIMAL`: what MariaDB does not log of it.
//!
//! MariaDB (10.11) logs a REPLACE of a row that is there as an update whose new row holds only the columns that the
//! statement names; the others got their defaults, and look as if they had not changed. MySQL 8.0 logs them. The
//! statement that MariaDB logs before its rows tells a REPLACE from an UPDATE; one inside a trigger is not seen.

use aqueduct_model::{Error, ErrorKind};

use super::super::mark::LogPlace;
use super::{Step, Stream};

/// Of a statement that is logged beside its rows so much is looked at.
const STATEMENT_HEAD_BYTES: usize = 4_096;

impl Stream {
    /// Remembers what kind of statement the rows that follow are of.
    pub(super) fn annotated(&mut self, statement: &[u8]) -> Step {
        if let Some(open) = self.open.as_mut() {
            open.replaces = replaces(statement);
        }
        Step::Go
    }
}

/// True for a REPLACE, and for a LOAD DATA that replaces rows.
fn replaces(statement: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&statement[..statement.len().min(STATEMENT_HEAD_BYTES)]);
    let mut words = words(&head);
    match words.next().map(str::to_ascii_uppercase).as_deref() {
        Some("REPLACE") => true,
        Some("LOAD") => words.any(|word| word.eq_ignore_ascii_case("REPLACE")),
        _ => false,
    }
}

/// Words of a statement, comments left out.
fn words(sql: &str) -> impl Iterator<Item = &str> {
    let mut rest = sql;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '/');
            let Some(comment) = rest.strip_prefix("/*") else { break };
            rest = comment.find("*/").map_or("", |end| &comment[end + 2..]);
        }
        rest = rest.trim_start_matches('/');
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        rest = behind;
        (!word.is_empty()).then_some(word)
    })
}

/// MariaDB logs a REPLACE of a row that is there as an update, without the columns that got their defaults.
pub(super) fn replaced_in_part(at: &LogPlace) -> Error {
    Error::new(
        ErrorKind::Data,
        format!("a REPLACE at {at} of the binary log gave columns their defaults without the log holding them"),
    )
    .with_setting("binlog_row_image")
    .with_hint(
        "SET GLOBAL binlog_row_image='FULL'; and end the connections that were made before; then reset the flow, so that \
         the rows are read again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_replace() {
        for (statement, expected) in [
            ("REPLACE INTO t VALUES (1)", true),
            ("  /* app */ replace t SET a = 1", true),
            ("/* REPLACE */ UPDATE t SET a = 'REPLACE'", false),
            ("INSERT INTO t VALUES ('REPLACE')", false),
            ("LOAD DATA INFILE 'x' REPLACE INTO TABLE t", true),
            ("LOAD DATA INFILE 'x' INTO TABLE t", false),
            ("", false),
            ("/*", false),
        ] {
            assert_eq!(replaces(statement.as_bytes()), expected, "{statement}");
        }
    }
}
