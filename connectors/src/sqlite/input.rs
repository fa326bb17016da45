//! Reads a table or a query in the order of a key, a chunk at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aqueduct_model::{
    BadRow, BadRows, Batch, Error, ErrorKind, PollBudget, Polled, Position, Relation, RelationName, Result, Source,
    SourceContext,
};
use arrow::datatypes::{Field, Schema};
use async_trait::async_trait;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};
use serde::{Deserialize, Serialize};

use super::cdc::Cell;
use super::connection::{Access, failed, is_busy, open, quote};
use super::input_config::SqliteInputConfig;
use super::input_plan::{columns, order};
use super::table;
use super::value::{Layout, Rows, to_json};

/// Longest sleep while waiting for new rows, so that a poll returns in time.
const NAP: Duration = Duration::from_millis(25);

/// Reads rows behind the last key, then ends or waits for more.
pub(crate) struct SqliteInput {
    config: SqliteInputConfig,
    reading: Option<Reading>,
}

impl SqliteInput {
    /// A source that is not open yet.
    pub(crate) fn new(config: SqliteInputConfig) -> Self {
        Self { config, reading: None }
    }
}

/// The offset: the last row that was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    after: Vec<Cell>,
}

struct Reading {
    connection: Connection,
    relation: Arc<Relation>,
    layout: Layout,
    /// Expressions that order the rows, as SQL.
    order: Vec<String>,
    /// What is read: a table, or a query in parentheses.
    from: String,
    columns: Vec<String>,
    place: Option<Place>,
    /// Where the current look began, when it lies before `place`.
    from_place: Option<Place>,
    next_look: Option<Instant>,
    is_finished: bool,
}

#[async_trait]
impl Source for SqliteInput {
    async fn open(&mut self, _context: &SourceContext, resume: Option<&Position>) -> Result<()> {
        fail::fail_point!("src.connect");
        self.reading = Some(Reading::open(&self.config, resume.map(parse).transpose()?.flatten())?);
        Ok(())
    }

    async fn poll(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<Polled> {
        let reading = self.reading.as_mut().ok_or_else(|| Error::bug("poll before open"))?;
        let until = budget.until.as_ref().map(parse).transpose()?.flatten();
        match reading.poll(&self.config, budget, until, bad) {
            Err(error) if is_busy(&error) => Ok(Polled::Idle),
            other => other,
        }
    }

    fn position(&self) -> Option<Position> {
        let place = self.reading.as_ref().and_then(|reading| reading.place.as_ref());
        Some(match place {
            None => Position::default(),
            Some(place) => {
                Position::single("", serde_json::to_value(place).expect("a place is plain data with string keys"))
            }
        })
    }

    async fn close(&mut self) -> Result<()> {
        self.reading = None;
        Ok(())
    }
}

/// The empty position is the beginning.
fn parse(position: &Position) -> Result<Option<Place>> {
    if position.0.is_empty() {
        return Ok(None);
    }
    let offset = position.offset("").cloned().unwrap_or_default();
    serde_json::from_value(offset).map(Some).map_err(|e| {
        Error::new(ErrorKind::State, "the recorded position is not one of SQLiteInput")
            .with_source(e)
            .with_hint("`aqueduct checkpoint reset` starts the flow anew")
    })
}

impl Reading {
    fn open(config: &SqliteInputConfig, place: Option<Place>) -> Result<Self> {
        let connection = open(&config.path, Access::ReadOnly, config.busy_timeout.0)?;
        let pragmas = "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;";
        connection.execute_batch(pragmas).map_err(|e| failed("cannot make the connection read-only", e))?;
        let (from, name, table) = match (&config.table, &config.query) {
            (Some(name), _) => {
                let tables = table::list(&connection)?.0;
                let table = tables.into_iter().find(|table| table.name.eq_ignore_ascii_case(name));
                (quote(name), name.clone(), table)
            }
            (None, query) => {
                let query = query.as_deref().unwrap_or_default().trim().trim_end_matches(';');
                // On lines of its own: a comment at the query's end must not swallow the parenthesis.
                (format!("(\n{query}\n)"), "query".to_owned(), None)
            }
        };
        let (columns, kinds) = columns(&connection, &from, config)?;
        let key = match &table {
            Some(table) if config.key.is_empty() => table.key.iter().map(|&i| table.columns[i].name.clone()).collect(),
            _ => config.key.clone(),
        };
        let mut order = order(config, table.as_ref())?;
        if let Some(incremental) = &config.incremental {
            order.insert(0, quote(&incremental.column));
        }
        let required: Vec<bool> = columns.iter().map(|column| key.contains(column)).collect();
        let fields: Vec<Field> =
            columns.iter().enumerate().map(|(i, name)| Field::new(name, kinds[i].data_type(), !required[i])).collect();
        let name = RelationName::table(config.name.clone().unwrap_or(name));
        let relation = Arc::new(Relation::new(name, Arc::new(Schema::new(fields)), &key, 1)?);
        if let Some(incremental) = &config.incremental {
            relation.column(&incremental.column).map_err(|e| e.with_setting("incremental.column"))?;
        }
        if place.as_ref().is_some_and(|place| place.after.len() != order.len()) {
            return Err(Error::new(ErrorKind::State, "the recorded position was made with another `key`")
                .with_setting("key")
                .with_hint("put the old `key` back, or `aqueduct checkpoint reset`"));
        }
        let layout = Layout { kinds, required };
        Ok(Self {
            connection,
            relation,
            layout,
            order,
            from,
            columns,
            from_place: place.clone(),
            place,
            next_look: None,
            is_finished: false,
        })
    }

    fn poll(
        &mut self,
        config: &SqliteInputConfig,
        budget: &PollBudget,
        until: Option<Place>,
        bad: &mut BadRows,
    ) -> Result<Polled> {
        if until.is_some() && until == self.place {
            return Ok(Polled::Idle);
        }
        if self.is_finished && until.is_none() {
            return Ok(Polled::Finished);
        }
        let deadline = Instant::now() + budget.max_wait;
        while let Some(at) = self.next_look {
            let now = Instant::now();
            if now >= at {
                self.next_look = None;
            } else if now >= deadline {
                return Ok(Polled::Idle);
            } else {
                std::thread::sleep(NAP.min(at - now).min(deadline - now));
            }
        }
        if let Some(batch) = self.read(config, budget, until.as_ref(), bad)? {
            return Ok(Polled::Batch(batch));
        }
        if let Some(until) = until {
            self.place = Some(until.clone());
            self.from_place = Some(until);
            return Ok(Polled::Idle);
        }
        let Some(incremental) = &config.incremental else {
            self.is_finished = true;
            return Ok(Polled::Finished);
        };
        self.next_look = Some(Instant::now() + incremental.poll_interval.0);
        self.from_place = self.look_back(incremental.lookback)?;
        Ok(Polled::Idle)
    }

    /// Reads the next chunk. `None` when there are no rows.
    fn read(
        &mut self,
        config: &SqliteInputConfig,
        budget: &PollBudget,
        until: Option<&Place>,
        bad: &mut BadRows,
    ) -> Result<Option<Batch>> {
        let doing = "cannot read rows";
        let limit = config.chunk_rows.get().min(budget.max_rows).max(1);
        loop {
            let sql = self.sql(config, until.is_some(), limit);
            let bounds = self.from_place.iter().chain(until).flat_map(|place| &place.after);
            let mut statement = self.connection.prepare_cached(&sql).map_err(|e| failed(doing, e))?;
            let mut found = statement.query(params_from_iter(bounds)).map_err(|e| failed(doing, e))?;
            let mut rows = Rows::new(self.relation.columns().clone(), &self.layout);
            let (mut last, mut count) = (None, 0);
            while let Some(row) = found.next().map_err(|e| failed(doing, e))? {
                count += 1;
                let places = self.order.len();
                let cell = |i: usize| row.get_ref(places + i).unwrap_or(ValueRef::Null);
                match self.layout.misfit(cell) {
                    None => rows.push(cell),
                    Some(column) => bad.reject(self.refused(column, cell))?,
                }
                if count == limit || rows.bytes() >= budget.max_bytes {
                    last = Some(keep(places, row)?);
                    break;
                }
                last = Some(keep(places, row)?);
            }
            let Some(after) = last else { return Ok(None) };
            let is_newer = self.is_newer(&after)?;
            self.from_place = Some(Place { after });
            if is_newer {
                self.place.clone_from(&self.from_place);
            }
            if rows.len() > 0 {
                return Batch::inserts(self.relation.clone(), rows.finish()?).map(Some);
            }
        }
    }

    /// A look that went back gives rows again; the position never goes back with it.
    fn is_newer(&self, after: &[Cell]) -> Result<bool> {
        let Some(place) = &self.place else { return Ok(true) };
        let marks = |first: usize| (0..after.len()).map(|i| format!("?{}", first + i)).collect::<Vec<_>>().join(",");
        let sql = format!("SELECT ({}) >= ({})", marks(1), marks(after.len() + 1));
        self.connection
            .prepare_cached(&sql)
            .and_then(|mut statement| {
                statement.query_row(params_from_iter(after.iter().chain(&place.after)), |row| row.get(0))
            })
            .map_err(|e| failed("cannot compare two keys", e))
    }

    fn sql(&self, config: &SqliteInputConfig, is_bounded: bool, limit: usize) -> String {
        let order = self.order.join(",");
        let mut conditions = Vec::new();
        let mut used = 0;
        // A look that went back knows the first column's bound alone.
        let mut bound = |sign: &str, columns: usize| {
            let marks: Vec<String> = (0..columns).map(|i| format!("?{}", used + i + 1)).collect();
            used += columns;
            conditions.push(format!("({}) {sign} ({})", self.order[..columns].join(","), marks.join(",")));
        };
        if let Some(place) = &self.from_place {
            bound(">", place.after.len());
        }
        if is_bounded {
            bound("<=", self.order.len());
        }
        if let Some(incremental) = &config.incremental {
            conditions.push(format!("{} IS NOT NULL", quote(&incremental.column)));
        }
        let condition =
            if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
        let columns: String = self.columns.iter().map(|column| format!(",{}", quote(column))).collect();
        format!("SELECT {order}{columns} FROM {} {condition} ORDER BY {order} LIMIT {limit}", self.from)
    }

    /// Where the next look begins: `lookback` before the largest value seen.
    fn look_back(&self, lookback: u64) -> Result<Option<Place>> {
        let Some(place) = self.place.clone().filter(|_| lookback > 0) else { return Ok(self.place.clone()) };
        let Some(newest) = place.after.first() else { return Ok(self.place.clone()) };
        let sql = "SELECT CASE typeof(?1) WHEN 'text' THEN strftime('%Y-%m-%d %H:%M:%S', ?1, '-' || ?2 || ' seconds') \
                   ELSE ?1 - ?2 END";
        let since: Cell = self.connection.prepare_cached(sql).map_err(|e| failed("cannot look back", e)).and_then(
            |mut statement| {
                let mut rows = statement.query((newest, lookback as i64)).map_err(|e| failed("cannot look back", e))?;
                let row = rows.next().map_err(|e| failed("cannot look back", e))?;
                Cell::keep(row.and_then(|row| row.get_ref(0).ok()).unwrap_or(ValueRef::Null))
            },
        )?;
        if since == Cell::Null(()) {
            return Err(Error::config("`lookback` needs a column of numbers or of times in ISO 8601")
                .with_setting("incremental.lookback"));
        }
        Ok(Some(Place { after: vec![since] }))
    }

    fn refused<'v>(&self, column: usize, cell: impl Fn(usize) -> ValueRef<'v>) -> BadRow {
        let row: serde_json::Map<_, _> =
            self.columns.iter().enumerate().map(|(i, name)| (name.clone(), to_json(cell(i)))).collect();
        BadRow {
            relation: Some(self.relation.name().clone()),
            row: row.into(),
            reasons: vec![self.layout.reason(column, &self.columns[column], cell(column))],
            position: None,
        }
    }
}

fn keep(places: usize, row: &rusqlite::Row<'_>) -> Result<Vec<Cell>> {
    (0..places).map(|i| Cell::keep(row.get_ref(i).unwrap_or(ValueRef::Null))).collect()
}
