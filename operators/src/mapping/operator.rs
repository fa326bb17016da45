//! `Mapping`: other columns, row by row.

use std::sync::Arc;

use aqueduct_model::{
    Batch, Cardinality, Error, InputPort, Operator, OperatorContext, OperatorPlugin, Output, OutputPort, PluginEntry,
    Properties, Relation, RelationName, Result, SchemaChange, State, operator,
};
use async_trait::async_trait;

use super::config::{MappingConfig, NamePart, OriginColumn, Steps};
use crate::bindings::Bindings;
use crate::projection::{Origin, Projection};
use crate::sql::Expression;
use crate::verdicts::reject;

/// The entry of `Mapping`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Mapping";
    const SUMMARY: &'static str = "Selects, renames, reorders, computes, converts and drops columns.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = MappingConfig;

    fn properties(_: &MappingConfig) -> Properties {
        Properties { inputs: (1, usize::MAX), cardinality: Cardinality::OneToOne, ..Properties::operator() }
    }

    fn validate(config: &MappingConfig) -> Result<()> {
        config.steps().map(drop)
    }

    fn build(config: MappingConfig) -> Result<Box<dyn Operator>> {
        let steps = config.steps()?;
        Ok(Box::new(Mapping { steps, origin: config.origin, table: config.table, bound: Bindings::default() }))
    }
}

struct Mapping {
    steps: Steps,
    origin: Option<OriginColumn>,
    table: Option<String>,
    bound: Bindings<Bound>,
}

/// The steps, bound to one relation.
struct Bound {
    /// The input under its new names.
    renamed: Projection,
    columns: Projection,
    /// Columns that the settings do not name come out.
    follows: bool,
}

impl Bound {
    fn new(steps: &Steps, relation: &Relation, table: Option<&str>) -> Result<Self> {
        let name = table.map_or_else(|| relation.name().clone(), RelationName::table);
        match steps {
            Steps::List(list) => {
                let renamed = Projection::new(relation, relation.name().clone(), every(relation))?;
                let columns = bind_all("columns", list, relation)?;
                let columns =
                    Projection::new(relation, name, columns).map_err(|error| error.with_setting("columns"))?;
                Ok(Self { renamed, columns, follows: false })
            }
            Steps::Changes { select, rename, add, cast, drop } => {
                let renamed = renamed(relation, select, rename)?;
                let relation = renamed.output();
                let mut columns = every(relation);
                for (column, origin) in bind_all("add", add, relation)? {
                    match columns.iter_mut().find(|(known, _)| *known == column) {
                        Some((_, replaced)) => *replaced = origin,
                        None => columns.push((column, origin)),
                    }
                }
                convert(&mut columns, relation, add, cast)?;
                for column in drop {
                    let at = place(&columns, relation, column).map_err(|error| error.with_setting("drop"))?;
                    columns.remove(at);
                }
                let columns = Projection::new(relation, name, columns)?;
                Ok(Self { renamed, columns, follows: select.is_empty() })
            }
        }
    }
}

impl Bound {
    fn with_origin(self, origin: &OriginColumn, name: &RelationName) -> Result<Self> {
        let value = match origin.part {
            NamePart::Catalog => name.catalog.as_deref().unwrap_or_default(),
            NamePart::Schema => name.schema.as_deref().unwrap_or_default(),
            NamePart::Table => &name.table,
        };
        let columns = self.columns.with_origin(self.renamed.output(), &origin.column, value);
        Ok(Self { columns: columns.map_err(|error| error.with_setting("origin.column"))?, ..self })
    }
}

/// All columns as they are.
fn every(relation: &Relation) -> Vec<(String, Origin)> {
    let fields = relation.columns().fields();
    fields.iter().enumerate().map(|(i, field)| (field.name().clone(), Origin::Column(i))).collect()
}

fn renamed(relation: &Relation, select: &[String], rename: &[(String, String)]) -> Result<Projection> {
    let mut columns = every(relation);
    if !select.is_empty() {
        columns = Vec::with_capacity(select.len());
        for name in select {
            let index = Expression::column(name).bind(relation).map_err(|error| error.with_setting("select"))?;
            columns.push((name.clone(), index.into()));
        }
    }
    let before: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
    for (from, to) in rename {
        let at = before.iter().position(|name| name == from);
        let at = at.ok_or_else(|| missing(relation, from).with_setting(format!("rename.{from}")))?;
        columns[at].0.clone_from(to);
    }
    Projection::new(relation, relation.name().clone(), columns)
}

fn bind_all(setting: &str, list: &[(String, Expression)], relation: &Relation) -> Result<Vec<(String, Origin)>> {
    let mut bound = Vec::with_capacity(list.len());
    for (name, expression) in list {
        let column = expression.bind(relation).map_err(|error| error.with_setting(format!("{setting}.{name}")))?;
        bound.push((name.clone(), column.into()));
    }
    Ok(bound)
}

/// Wraps columns into casts.
fn convert(
    columns: &mut [(String, Origin)],
    relation: &Relation,
    add: &[(String, Expression)],
    cast: &[(String, String)],
) -> Result<()> {
    for (column, sql_type) in cast {
        let failed = |error: Error| error.with_setting(format!("cast.{column}"));
        let at = place(columns, relation, column).map_err(failed)?;
        // The last one counts, as it does when columns are replaced.
        let added = add.iter().rev().find(|(name, _)| name == column).map(|(_, expression)| expression.clone());
        let expression = added.unwrap_or_else(|| Expression::column(column));
        columns[at].1 = expression.cast_to(sql_type).and_then(|cast| cast.bind(relation)).map_err(failed)?.into();
    }
    Ok(())
}

fn place(columns: &[(String, Origin)], relation: &Relation, name: &str) -> Result<usize> {
    columns.iter().position(|(known, _)| known == name).ok_or_else(|| missing(relation, name))
}

/// That there is no such column, with what was probably meant.
fn missing(relation: &Relation, name: &str) -> Error {
    match Expression::column(name).bind(relation) {
        Err(error) => error,
        Ok(_) => Error::config(format!("column {name} is not among those that were selected")),
    }
}

#[async_trait]
impl Operator for Mapping {
    async fn open(&mut self, _context: &OperatorContext, _state: Option<State>) -> Result<()> {
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        let bound = self.bind(batch.relation())?;
        let projected = bound.columns.apply(&bound.renamed.apply(&batch)?.batch)?;
        reject(&batch, &projected.refused, out)?;
        out.emit(OutputPort::MAIN, projected.accepted()?).await
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        let bound = self.bind(&change.relation)?;
        let relation = bound.columns.output().clone();
        let seen = bound.renamed.translate(&change.relation, &change.change, bound.follows);
        let seen = seen.and_then(|seen| bound.columns.translate(bound.renamed.output(), &seen, bound.follows));
        match seen {
            Some(seen) => out.announce(OutputPort::MAIN, SchemaChange { relation, change: seen, ..change }).await,
            None => Ok(()),
        }
    }
}

impl Mapping {
    fn bind(&mut self, relation: &Arc<Relation>) -> Result<&Bound> {
        let (steps, origin, table) = (&self.steps, self.origin.as_ref(), self.table.as_deref());
        self.bound.get(relation, || {
            let bound = Bound::new(steps, relation, table)?;
            match origin {
                Some(origin) => bound.with_origin(origin, relation.name()),
                None => Ok(bound),
            }
        })
    }
}
