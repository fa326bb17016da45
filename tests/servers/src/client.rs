//! SQL sessions that share no code with the product: the simple text protocols, spoken over the server's socket file.

use std::fmt;

use crate::mysql_client::MySqlClient;
use crate::postgres_client::PostgresClient;

/// Rows of a result as the server's own text; `None` is NULL.
pub type Rows = Vec<Vec<Option<String>>>;

/// What a server answered instead of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlError {
    /// The server's error number (MySQL) or SQLSTATE (PostgreSQL); empty when the connection broke.
    pub code: String,
    /// Its text.
    pub message: String,
}

impl SqlError {
    /// The connection broke, or said what is not understood.
    pub(crate) fn broken(error: &std::io::Error) -> Self {
        Self { code: String::new(), message: format!("the connection broke: {error}") }
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.message)
    }
}

/// One session of the administrator: keeps transactions, settings and temporary tables until it is dropped.
#[derive(Debug)]
pub struct Client {
    session: Session,
}

#[derive(Debug)]
enum Session {
    MySql(MySqlClient),
    Postgres(PostgresClient),
}

impl Client {
    pub(crate) fn mysql(session: MySqlClient) -> Self {
        Self { session: Session::MySql(session) }
    }

    pub(crate) fn postgres(session: PostgresClient) -> Self {
        Self { session: Session::Postgres(session) }
    }

    /// Runs one or several statements; rows of the last one that has any.
    ///
    /// # Errors
    /// What the server answered, after which the statements behind were not run; or that the connection broke.
    pub fn run(&mut self, sql: &str) -> Result<Rows, SqlError> {
        match &mut self.session {
            Session::MySql(session) => session.run(sql),
            Session::Postgres(session) => session.run(sql),
        }
    }

    /// The same; a refusal fails the test.
    #[track_caller]
    pub fn sql(&mut self, sql: &str) -> Rows {
        match self.run(sql) {
            Ok(rows) => rows,
            Err(error) => panic!("{error}\nin: {}", shortened(sql)),
        }
    }

    /// All values, `|` between columns, a line break between rows, `NULL` for NULL.
    #[track_caller]
    pub fn text(&mut self, sql: &str) -> String {
        text_of(&self.sql(sql))
    }

    /// The first value as a number; 0 when there is none.
    #[track_caller]
    pub fn number(&mut self, sql: &str) -> i64 {
        number_of(&self.sql(sql))
    }
}

pub(crate) fn text_of(rows: &Rows) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "NULL".to_owned());
    let row = |row: &Vec<Option<String>>| row.iter().map(value).collect::<Vec<_>>().join("|");
    rows.iter().map(row).collect::<Vec<_>>().join("\n")
}

#[track_caller]
pub(crate) fn number_of(rows: &Rows) -> i64 {
    match rows.first().and_then(|row| row.first()) {
        Some(Some(text)) => text.parse().unwrap_or_else(|_| panic!("{text:?} is not a whole number")),
        _ => 0,
    }
}

/// Enough of a statement to find it.
pub(crate) fn shortened(sql: &str) -> String {
    const CHARS_MAX: usize = 400;
    let mut text: String = sql.chars().take(CHARS_MAX).collect();
    if text.len() < sql.len() {
        text.push('…');
    }
    text
}
