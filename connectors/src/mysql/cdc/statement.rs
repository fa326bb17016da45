//! What a statement of the log does to the transaction that it stands in.

/// A statement that is not about rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    /// `BEGIN`
    Begin,
    /// `COMMIT`
    Commit,
    /// `ROLLBACK`
    Rollback,
    /// `SAVEPOINT name`
    Savepoint(String),
    /// `ROLLBACK TO name`
    RollbackTo(String),
    /// `XA START xid`: begins a transaction.
    XaStart,
    /// `XA END xid`: the prepare event follows.
    XaEnd,
    /// `XA COMMIT xid`: rows that were prepared before take effect.
    XaCommit,
    /// `XA ROLLBACK xid`
    XaRollback,
    /// Changes rows, without the rows being in the log.
    Rows,
    /// Everything else: DDL, or nothing that concerns tables.
    Other,
}

impl Statement {
    /// Reads the first words.
    pub fn of(sql: &str) -> Self {
        let sql = sql.trim_start_matches(is_space);
        let (first, rest) = word(sql);
        match first.to_ascii_uppercase().as_str() {
            "BEGIN" => Self::Begin,
            "COMMIT" => Self::Commit,
            "SAVEPOINT" => Self::Savepoint(name(rest)),
            "ROLLBACK" => {
                let (second, rest) = word(rest);
                if second.eq_ignore_ascii_case("TO") { Self::RollbackTo(name(rest)) } else { Self::Rollback }
            }
            "XA" => Self::xa(rest),
            "INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "LOAD" | "WITH" => Self::Rows,
            _ => Self::Other,
        }
    }

    fn xa(sql: &str) -> Self {
        let (verb, _) = word(sql);
        match verb.to_ascii_uppercase().as_str() {
            "START" | "BEGIN" => Self::XaStart,
            "END" => Self::XaEnd,
            "COMMIT" => Self::XaCommit,
            "ROLLBACK" => Self::XaRollback,
            _ => Self::Other,
        }
    }
}

fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\0'
}

/// The first word, and what stands behind it.
fn word(sql: &str) -> (&str, &str) {
    let end = sql.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(sql.len());
    (&sql[..end], sql[end..].trim_start_matches(is_space))
}

/// A savepoint's name, without its quotes and without `SAVEPOINT` before it.
fn name(sql: &str) -> String {
    let (first, rest) = word(sql);
    let sql = if first.eq_ignore_ascii_case("SAVEPOINT") && !rest.is_empty() { rest } else { sql };
    match sql.strip_prefix('`') {
        Some(quoted) => quoted.trim_end().strip_suffix('`').unwrap_or(quoted).replace("``", "`"),
        None => sql.trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements() {
        for (sql, expected) in [
            ("BEGIN", Statement::Begin),
            ("COMMIT", Statement::Commit),
            ("ROLLBACK", Statement::Rollback),
            ("SAVEPOINT `a``b`", Statement::Savepoint("a`b".into())),
            ("ROLLBACK TO `a``b`", Statement::RollbackTo("a`b".into())),
            ("rollback to savepoint x", Statement::RollbackTo("x".into())),
            ("XA START X'7831',X'',1", Statement::XaStart),
            ("XA COMMIT X'7831',X'',1", Statement::XaCommit),
            ("XA COMMIT X'7831',X'',1 ONE PHASE", Statement::XaCommit),
            ("XA ROLLBACK 'a'", Statement::XaRollback),
            ("XA END 'a'", Statement::XaEnd),
            ("INSERT INTO t VALUES (1)", Statement::Rows),
            ("  delete from t", Statement::Rows),
            ("CREATE TABLE t (a int)", Statement::Other),
            ("TRUNCATE t", Statement::Other),
            ("", Statement::Other),
        ] {
            assert_eq!(Statement::of(sql), expected, "{sql}");
        }
    }
}
