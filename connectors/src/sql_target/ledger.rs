//! The sink's own progress, in the target: the row that makes exactly-once.
//!
//! `_aqueduct_commits` has one row per flow and task: the token of its writer, the last committed epoch, and where each
//! source goes on. It changes only inside the transaction that changes the rows.

use aqueduct_model::{Claim, Cut, Epoch, Error, ErrorKind, Recorded, Result, SinkContext, Token};

use super::{Database, Value, fault};

const TABLE: &str = "_aqueduct_commits";

/// Makes the ledger. Outside of a transaction where DDL would end it.
pub(super) fn create(database: &mut dyn Database) -> Result<()> {
    if exists(database, TABLE)? {
        return Ok(());
    }
    let dialect = database.dialect();
    if let Some(lock) = dialect.lock_for_ddl() {
        database.query(lock, &[])?;
    }
    let (name, text, options) = (dialect.name_type(), dialect.long_text_type(), dialect.table_options());
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS {TABLE} (flow {name} NOT NULL, task {name} NOT NULL, token BIGINT NOT NULL, \
         epoch BIGINT NOT NULL, positions {text} NOT NULL, committed_at {name} NOT NULL, \
         PRIMARY KEY (flow, task)){options}"
    );
    database.execute(&sql, &[]).map(drop)
}

/// True when the target has a table of that name.
pub(super) fn exists(database: &mut dyn Database, table: &str) -> Result<bool> {
    let rows = database.query(database.dialect().table_exists_query(), &[table.into()])?;
    Ok(rows.first().is_some_and(|row| row[0] != Value::Int(0)))
}

/// What an earlier run recorded, if anything.
///
/// # Errors
/// `State` when the row cannot be read as one of ours.
pub(crate) fn recorded(database: &mut dyn Database, context: &SinkContext) -> Result<Option<Recorded>> {
    if !exists(database, TABLE)? {
        return Ok(None);
    }
    read(database, context, "")
}

fn read(database: &mut dyn Database, context: &SinkContext, lock: &str) -> Result<Option<Recorded>> {
    let sql = format!("SELECT token, epoch, positions FROM {TABLE} WHERE flow = ?1 AND task = ?2{lock}");
    let rows = database.query(&sql, &[context.flow.as_str().into(), context.task.as_str().into()])?;
    let Some(row) = rows.first() else { return Ok(None) };
    let number = |value: &Value| Ok::<_, Error>(value.int()?.cast_unsigned());
    let positions = serde_json::from_str(row[2].text()?).map_err(|error| {
        Error::new(ErrorKind::State, "cannot read the positions in _aqueduct_commits").with_source(error)
    })?;
    let cut = Cut { epoch: Epoch(number(&row[1])?), positions };
    Ok(Some(Recorded { token: Token(number(&row[0])?), cut }))
}

/// Makes this run the only writer. To be called inside a transaction; returns true for a flow that is new here.
///
/// `seen` is what the row was when the decision to claim was made: a writer that was cut off may have committed one
/// more epoch since, and its rows must not be written again.
///
/// # Errors
/// `State` when the recorded token is not lower; `Unavailable` when the row moved since.
pub(super) fn claim(
    database: &mut dyn Database,
    context: &SinkContext,
    claim: &Claim,
    seen: Option<&Recorded>,
) -> Result<bool> {
    let lock = database.dialect().for_update();
    let current = read(database, context, lock)?;
    let newer = current.as_ref().is_some_and(|current| current.token >= claim.token);
    if !newer && current.as_ref() != seen {
        return Err(Error::new(
            ErrorKind::Unavailable,
            format!("flow {} task {}: the target moved while it was claimed", context.flow, context.task),
        ));
    }
    let fresh = current.is_none();
    let (flow, task) = (Value::from(context.flow.as_str()), Value::from(context.task.as_str()));
    let (token, epoch, positions) = (number(claim.token.0)?, number(claim.cut.epoch.0)?, positions(&claim.cut)?);
    if fresh {
        let sql = "INSERT INTO _aqueduct_commits (flow, task, token, epoch, positions, committed_at) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        database.execute(sql, &[flow, task, token, epoch, positions, now()])?;
        return Ok(true);
    }
    let sql = "UPDATE _aqueduct_commits SET token = ?3, epoch = ?4, positions = ?5, committed_at = ?6 \
               WHERE flow = ?1 AND task = ?2 AND token < ?3";
    if database.execute(sql, &[flow, task, token, epoch, positions, now()])? != 1 {
        return Err(Error::new(
            ErrorKind::State,
            format!(
                "flow {} task {}: the target knows a writer with a newer token; this one is fenced",
                context.flow, context.task
            ),
        )
        .with_hint(
            "another daemon runs this flow, or the checkpoint folder is an old copy: stop the other daemon and start \
             from its checkpoint folder, or run `aqueduct checkpoint reset` for this flow",
        ));
    }
    Ok(false)
}

/// Checks that no other writer has taken over, before something that no transaction can undo.
///
/// # Errors
/// `State` when one has.
pub(super) fn still_ours(database: &mut dyn Database, context: &SinkContext, token: Token) -> Result<()> {
    match read(database, context, "")? {
        Some(current) if current.token == token => Ok(()),
        _ => Err(Error::new(
            ErrorKind::State,
            format!("flow {} task {}: another daemon has taken over this target", context.flow, context.task),
        )
        .with_hint("stop one of the two daemons; the one that was started last goes on")),
    }
}

/// Moves from the previous epoch to this one, inside the transaction of the epoch's rows.
///
/// # Errors
/// `State` when the row is not what this writer left behind.
pub(super) fn advance(
    database: &mut dyn Database,
    context: &SinkContext,
    token: Token,
    previous: Epoch,
    cut: &Cut,
) -> Result<()> {
    let mut sql =
        "UPDATE _aqueduct_commits SET epoch = ?3, positions = ?4, committed_at = ?5 WHERE flow = ?1 AND task = ?2"
            .to_owned();
    let mut values =
        vec![context.flow.as_str().into(), context.task.as_str().into(), number(cut.epoch.0)?, positions(cut)?, now()];
    if !fault::planted("mutant.sink_no_token_check", &context.flow) {
        sql.push_str(" AND token = ?6 AND epoch = ?7");
        values.extend([number(token.0)?, number(previous.0)?]);
    }
    if database.execute(&sql, &values)? == 1 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::State,
        format!(
            "flow {} task {}: another daemon has taken over this target; nothing of epoch {} was written",
            context.flow, context.task, cut.epoch
        ),
    )
    .with_hint("stop one of the two daemons; the one that was started last goes on"))
}

fn number(value: u64) -> Result<Value> {
    i64::try_from(value).map(Value::Int).map_err(|_| Error::bug(format!("{value} does not fit the ledger")))
}

fn positions(cut: &Cut) -> Result<Value> {
    serde_json::to_string(&cut.positions)
        .map(Value::Text)
        .map_err(|error| Error::bug("cannot write positions").with_source(error))
}

fn now() -> Value {
    Value::Text(chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
}
