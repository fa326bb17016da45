//! `Lookup` at work.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aqueduct_model::{
    BadRow, Batch, Cardinality, ChangeSupport, Directive, Error, ErrorKind, InputPort, Operator, OperatorContext,
    OperatorPlugin, Output, OutputPort, PluginEntry, Properties, Relation, Result, SchemaChange, State, operator,
};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use tokio::time::Instant;

use super::cache::{Answer, Bytes, Cache};
use super::config::{LookupConfig, OnMissing, Pair, within};
use super::found::Found;
use super::keys::{Keys, KeysOfBatch};
use super::table::{LookupTable, Question};

/// The catalogue entry.
pub(crate) const ENTRY: PluginEntry = operator::<Plugin>();

/// At most so many keys are asked for at a time.
const KEYS_PER_QUESTION: usize = 512;
/// How long is waited before a question is asked again, for the first time; each later one takes twice as long.
const RETRY_WAIT: Duration = Duration::from_millis(100);
/// How many versions of the input's tables are remembered.
const BOUND_MAX: usize = 256;

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Lookup";
    const SUMMARY: &'static str = "Puts columns of a database table beside every row, found by key.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = LookupConfig;

    fn properties(config: &LookupConfig) -> Properties {
        let drops = config.on_missing() == OnMissing::Drop;
        Properties {
            inputs: (1, usize::MAX),
            // What was found before a change may be another row by now, and a delete must take back the row that went out.
            changes: ChangeSupport::AppendOnly,
            cardinality: if drops { Cardinality::Filtering } else { Cardinality::OneToOne },
            blocking: true,
            ..Properties::operator()
        }
    }

    fn validate(config: &LookupConfig) -> Result<()> {
        config.check()
    }

    fn build(config: LookupConfig) -> Result<Box<dyn Operator>> {
        config.check()?;
        let table = config.table()?;
        Ok(Box::new(Lookup::new(config, table)))
    }
}

pub(super) struct Lookup {
    config: LookupConfig,
    table: Box<dyn LookupTable>,
    asking: Option<Asking>,
    cache: Cache,
    /// The versions of tables that came last.
    bound: Vec<Arc<Bound>>,
}

/// What is asked for, once it is known which columns the table has.
struct Asking {
    question: Question,
    found: Found,
    is_connected: bool,
}

/// What holds for the rows of one relation.
struct Bound {
    input: Arc<Relation>,
    keys: Keys,
    output: Arc<Relation>,
}

impl Lookup {
    /// Asks a table that is not connected.
    pub(super) fn new(config: LookupConfig, table: Box<dyn LookupTable>) -> Self {
        let cache = Cache::new(config.cache.0 as usize, config.ttl.0);
        Self { config, table, asking: None, cache, bound: Vec::new() }
    }

    /// Connects, and looks at the table; the columns must be those that it had at first.
    async fn connect(&mut self) -> Result<()> {
        let system = self.config.system();
        let located = |error| within(system, error);
        let relation = self.table.open().await.map_err(located)?;
        let mut columns = Vec::new();
        for (setting, name) in self
            .config
            .on
            .iter()
            .map(|pair| ("on", pair.right()))
            .chain(self.config.columns.iter().map(|pair| ("columns", pair.left())))
        {
            columns.push(relation.column(name).map_err(|error| error.with_setting(setting))?.0);
        }
        let question = Question { relation: narrowed(&relation, &columns)?, key_columns: self.config.on.len() };
        if let Some(asking) = self.asking.as_ref().filter(|asking| !same(&asking.question, &question)) {
            let name = asking.question.relation.name();
            return Err(Error::new(ErrorKind::Schema, format!("the columns of {name} have other types now"))
                .with_hint("start the flow again: rows that went out have the old types"));
        }
        self.table.prepare(&question).await.map_err(located)?;
        let wanted = schema_of(&question.relation, question.key_columns..columns.len());
        let found = Found::new(&wanted, &self.config.columns).map_err(|error| error.with_setting("columns"))?;
        self.asking = Some(Asking { question, found, is_connected: true });
        Ok(())
    }

    /// Asks for keys; again, by a new connection, when the server was away.
    async fn ask(&mut self, keys: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let mut attempt = 0;
        loop {
            let asked = self.try_ask(keys).await;
            let Err(error) = asked else { return asked };
            if let Some(asking) = &mut self.asking {
                asking.is_connected = false;
            }
            self.table.close().await;
            if error.kind().directive() != Directive::Retry || attempt >= self.config.retries {
                return Err(within(self.config.system(), error));
            }
            tracing::warn!(attempt, error = error.chain(), "a lookup failed and is tried again");
            tokio::time::sleep(RETRY_WAIT * 2_u32.pow(attempt)).await;
            attempt += 1;
        }
    }

    async fn try_ask(&mut self, keys: &RecordBatch) -> Result<Vec<RecordBatch>> {
        if !self.asking.as_ref().is_some_and(|asking| asking.is_connected) {
            self.connect().await?;
        }
        let asking = self.asking.as_ref().ok_or_else(|| Error::bug("a lookup before open"))?;
        self.table.ask(&asking.question, keys).await
    }

    fn bind(&mut self, relation: &Arc<Relation>) -> Result<Arc<Bound>> {
        let known = self.bound.iter().find(|bound| Arc::ptr_eq(&bound.input, relation) || bound.input == *relation);
        if let Some(bound) = known {
            return Ok(bound.clone());
        }
        let asking = self.asking.as_ref().ok_or_else(|| Error::bug("a lookup before open"))?;
        let names: Vec<String> = self.config.on.iter().map(|pair| pair.left().to_owned()).collect();
        let schema = schema_of(&asking.question.relation, 0..asking.question.key_columns);
        let keys = Keys::bind(relation, &names, &schema)?;
        let bound = Arc::new(Bound { input: relation.clone(), keys, output: asking.found.output(relation)? });
        if self.bound.len() == BOUND_MAX {
            self.bound.remove(0);
        }
        self.bound.push(bound.clone());
        Ok(bound)
    }

    /// What the table has for each different key of a batch.
    async fn answers(&mut self, bound: &Bound, keys: &KeysOfBatch) -> Result<HashMap<Bytes, Answer>> {
        let now = Instant::now();
        let (mut answers, mut unknown) = (HashMap::new(), Vec::new());
        for row in keys.distinct() {
            let key = keys.rows.row(row);
            match self.cache.get(key.as_ref(), now) {
                Some(answer) => drop(answers.insert(key.as_ref().into(), answer)),
                None => unknown.push(row),
            }
        }
        for rows in unknown.chunks(KEYS_PER_QUESTION) {
            let got = self.ask(&bound.keys.batch(keys, rows)?).await?;
            let asking = self.asking.as_ref().ok_or_else(|| Error::bug("a lookup before open"))?;
            let mut got = asking.found.answers(&bound.keys, asking.question.key_columns, &got)?;
            for &row in rows {
                let key: Bytes = keys.rows.row(row).as_ref().into();
                let answer = got.remove(&key).unwrap_or(Answer::Missing);
                self.cache.insert(key.clone(), answer.clone(), now);
                answers.insert(key, answer);
            }
        }
        Ok(answers)
    }
}

fn same(one: &Question, other: &Question) -> bool {
    let types = |question: &Question| {
        question.relation.columns().fields().iter().map(|field| field.data_type().clone()).collect::<Vec<_>>()
    };
    types(one) == types(other)
}

/// Some columns of a relation, which may be named twice: as a key, and as what is wanted.
fn narrowed(relation: &Relation, columns: &[usize]) -> Result<Arc<Relation>> {
    let mut fields: Vec<Arc<arrow::datatypes::Field>> = Vec::with_capacity(columns.len());
    for &column in columns {
        let field = relation.columns().fields()[column].clone();
        if fields.iter().any(|known| known.name() == field.name()) {
            return Err(Error::config(format!("column {} is in `on`, so the row has its value", field.name()))
                .with_setting("columns")
                .with_hint("leave it out of `columns`"));
        }
        fields.push(field);
    }
    let columns = Schema::new_with_metadata(fields, relation.columns().metadata().clone());
    Relation::new(relation.name().clone(), Arc::new(columns), &[] as &[&str], relation.version()).map(Arc::new)
}

fn schema_of(relation: &Relation, columns: std::ops::Range<usize>) -> SchemaRef {
    Arc::new(Schema::new(relation.columns().fields()[columns].to_vec()))
}

#[async_trait]
impl Operator for Lookup {
    async fn open(&mut self, _context: &OperatorContext, _state: Option<State>) -> Result<()> {
        self.connect().await
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        if !batch.is_append_only() || batch.has_absent() {
            let text =
                format!("an update or delete of {}: rows are looked up for inserts only", batch.relation().name());
            return Err(Error::new(ErrorKind::Data, text)
                .with_hint("capture the other table too, and keep the join by a task Join in `mode: changelog`"));
        }
        let bound = self.bind(batch.relation())?;
        let keys = bound.keys.of(&batch)?;
        let answers = self.answers(&bound, &keys).await?;
        let on_missing = self.config.on_missing();
        let (mut found, mut keep) = (vec![None; batch.num_rows()], vec![true; batch.num_rows()]);
        for row in 0..batch.num_rows() {
            let answer = if keys.is_null(row) { None } else { answers.get(keys.rows.row(row).as_ref()) };
            match answer {
                Some(Answer::Row(bytes)) => found[row] = Some(bytes.clone()),
                Some(Answer::Several) => {
                    keep[row] = false;
                    out.reject(BadRow::of_batch(&batch, row, several(&self.config.on)))?;
                }
                Some(Answer::Missing) | None => match on_missing {
                    OnMissing::Null => {}
                    OnMissing::Drop => keep[row] = false,
                    OnMissing::Reject => {
                        keep[row] = false;
                        out.reject(BadRow::of_batch(&batch, row, missing(&self.config.on)))?;
                    }
                },
            }
        }
        let asking = self.asking.as_ref().ok_or_else(|| Error::bug("a lookup before open"))?;
        let output = asking.found.beside(&batch, &bound.output, &found)?;
        let output = if keep.contains(&false) { output.select(&BooleanArray::from(keep))? } else { output };
        out.emit(OutputPort::MAIN, output).await
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        let relation = self.bind(&change.relation)?.output.clone();
        out.announce(OutputPort::MAIN, SchemaChange { relation, ..change }).await
    }

    async fn finish(&mut self, _out: &mut dyn Output) -> Result<()> {
        self.table.close().await;
        Ok(())
    }
}

fn names(on: &[Pair]) -> String {
    on.iter().map(Pair::left).collect::<Vec<_>>().join(", ")
}

fn missing(on: &[Pair]) -> String {
    format!("the looked-up table has no row for {}", names(on))
}

fn several(on: &[Pair]) -> String {
    format!("the looked-up table has more than one row for {}", names(on))
}
