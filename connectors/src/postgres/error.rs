//! What a PostgreSQL server's refusals mean: the kind of each, and what to do about it.
//!
//! The server's primary message is kept, except for classes 22 and 23 (data, constraints), where it quotes cells; its
//! DETAIL, which quotes rows, never is.

use aqueduct_model::{Error, ErrorKind};

/// What a server said when it refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal<'a> {
    /// The SQLSTATE, five characters.
    pub code: &'a str,
    /// The primary message, in the server's language.
    pub message: &'a str,
    /// The server's own hint.
    pub hint: Option<&'a str>,
    /// The constraint that was violated.
    pub constraint: Option<&'a str>,
    /// The column at fault.
    pub column: Option<&'a str>,
}

impl Refusal<'_> {
    /// The error: `doing` says what was being done, in the form "cannot read shop.orders".
    pub(crate) fn error(&self, doing: &str) -> Error {
        let said = match self.code.get(..2) {
            Some("22" | "23") => {
                let of = [("constraint", self.constraint), ("column", self.column)];
                let of = of.iter().filter_map(|(what, name)| name.map(|name| format!(" {what} {name}")));
                format!("{}{}", class_text(self.code), of.collect::<String>())
            }
            _ => self.message.to_owned(),
        };
        let error = Error::new(kind(self.code), format!("{doing}: {said} (SQLSTATE {})", self.code));
        match advice(self.code).or(self.hint) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

/// The error for a failed call of the client: the server's refusal, or a connection that is gone.
pub(crate) fn failed(doing: &str, error: tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(db) => Refusal {
            code: db.code().code(),
            message: db.message(),
            hint: db.hint(),
            constraint: db.constraint(),
            column: db.column(),
        }
        .error(doing),
        None if is_mistake(&error) => Error::bug(doing).with_source(error),
        None => Error::new(ErrorKind::Unavailable, doing).with_source(error),
    }
}

/// A value that the client could not turn into the wanted type: our query does not fit our code.
fn is_mistake(error: &tokio_postgres::Error) -> bool {
    let text = error.to_string();
    text.starts_with("error serializing")
        || text.starts_with("error deserializing")
        || text.starts_with("invalid column")
}

/// The kind of an SQLSTATE, and so whether the flow tries again.
///
/// PostgreSQL 18 manual, Appendix A.
pub(crate) fn kind(code: &str) -> ErrorKind {
    match code {
        // Insufficient privilege, wrong role, a role that may not log in, no entry in pg_hba.conf.
        "42501" | "28000" | "28P01" | "0P000" | "0LP01" => ErrorKind::Auth,
        // The database or the schema does not exist.
        "3D000" | "3F000" | "42704" => ErrorKind::Config,
        // A table or a column is not what it was.
        "42P01" | "42703" | "42804" | "42P07" | "42701" | "0A000" => ErrorKind::Schema,
        // In use elsewhere (a slot, an object), too many connections, out of memory or disk: it may pass.
        "55006" | "55P03" | "53300" | "53100" | "53200" | "53400" => ErrorKind::Throttled,
        // A statement or lock limit ran out.
        "57014" | "25P03" | "25P04" | "57P05" => ErrorKind::Timeout,
        // The server is not set up for it (`wal_level`, a standby).
        "55000" => ErrorKind::Config,
        _ => match code.get(..2) {
            // Connection lost; a conflict that a new try resolves; the server shuts down, starts or recovers; I/O.
            Some("08" | "40" | "57" | "58" | "XX") => ErrorKind::Unavailable,
            Some("53" | "55") => ErrorKind::Throttled,
            Some("22" | "23" | "44") => ErrorKind::Data,
            Some("28") => ErrorKind::Auth,
            Some("42") => ErrorKind::Schema,
            _ => ErrorKind::Unavailable,
        },
    }
}

fn class_text(code: &str) -> &'static str {
    match code {
        "23502" => "a value is missing (not-null violation)",
        "23503" => "a referenced row does not exist (foreign-key violation)",
        "23505" => "the row is already there (unique violation)",
        "23514" => "a check constraint refuses the row",
        "22003" => "a number is out of range",
        "22001" => "a text is too long",
        "22021" => "a text has a character that the database's encoding lacks",
        "22P02" | "22007" | "22008" => "a value does not fit the column's type",
        _ if code.starts_with("23") => "a constraint refuses the row",
        _ => "a value was refused",
    }
}

fn advice(code: &str) -> Option<&'static str> {
    match code {
        "28P01" => Some("the password or the user name is wrong: correct `url`"),
        "53300" => Some("raise `max_connections` at the server, or end sessions that are idle"),
        "53400" => Some("raise `max_replication_slots` or `max_wal_senders` at the server and restart it"),
        "3D000" => Some("the database does not exist: correct the end of `url`"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<'a>(code: &'a str, message: &'a str) -> Refusal<'a> {
        Refusal { code, message, hint: None, constraint: None, column: None }
    }

    #[test]
    fn cells_that_the_server_quotes_are_left_out() {
        let error = refusal("22P02", "invalid input syntax for type integer: \"4711-secret\"").error("cannot write");
        assert!(!error.to_string().contains("4711"), "{error}");
        let taken = Refusal { constraint: Some("orders_pkey"), ..refusal("23505", "duplicate key value 4711") };
        let error = taken.error("cannot write");
        assert_eq!(
            error.to_string(),
            "cannot write: the row is already there (unique violation) constraint orders_pkey (SQLSTATE 23505)"
        );
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        use aqueduct_model::Directive;
        for (code, retried) in [
            ("57P01", true),
            ("57P03", true),
            ("55006", true),
            ("53300", true),
            ("40001", true),
            ("40P01", true),
            ("08006", true),
            ("28P01", false),
            ("42501", false),
            ("42P01", false),
            ("55000", false),
            ("22003", false),
        ] {
            assert_eq!(kind(code).directive() == Directive::Retry, retried, "{code}");
        }
    }
}
