//! `Str`: columns of texts, row by row.

use std::sync::Arc;

use aqueduct_model::{
    Batch, Cardinality, Error, InputPort, Operator, OperatorContext, OperatorPlugin, Output, OutputPort, PluginEntry,
    Properties, Relation, Result, SchemaChange, State, operator,
};
use async_trait::async_trait;

use super::column::Recipe;
use super::config::StrConfig;
use crate::bindings::Bindings;
use crate::projection::{Origin, Projection};
use crate::verdicts::reject;

/// The entry of `Str`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Str";
    const SUMMARY: &'static str = "Trims, pads, replaces, cuts, joins, hashes and encodes texts.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = StrConfig;

    fn properties(_: &StrConfig) -> Properties {
        Properties { inputs: (1, usize::MAX), cardinality: Cardinality::OneToOne, ..Properties::operator() }
    }

    fn validate(config: &StrConfig) -> Result<()> {
        recipes(config).map(drop)
    }

    fn build(config: StrConfig) -> Result<Box<dyn Operator>> {
        Ok(Box::new(Str { recipes: recipes(&config)?, bound: Bindings::default() }))
    }
}

fn recipes(config: &StrConfig) -> Result<Vec<(String, Recipe)>> {
    if config.columns.is_empty() {
        return Err(Error::config("no column is made")
            .with_setting("columns")
            .with_hint("write `columns: { name: { do: [{ trim: both }] } }`"));
    }
    let mut recipes = Vec::with_capacity(config.columns.0.len());
    for (name, column) in &config.columns.0 {
        let recipe = Recipe::new(name, column).map_err(|error| error.with_setting(format!("columns.{name}")));
        recipes.push((name.clone(), recipe?));
    }
    Ok(recipes)
}

struct Str {
    recipes: Vec<(String, Recipe)>,
    bound: Bindings<Projection>,
}

impl Str {
    fn bind(&mut self, relation: &Arc<Relation>) -> Result<&Projection> {
        let recipes = &self.recipes;
        self.bound.get(relation, || {
            let fields = relation.columns().fields();
            let mut columns: Vec<(String, Origin)> =
                fields.iter().enumerate().map(|(i, field)| (field.name().clone(), Origin::Column(i))).collect();
            for (name, recipe) in recipes {
                let bound = recipe.bind(relation).map_err(|error| error.with_setting(format!("columns.{name}")))?;
                let made = Origin::Made(Box::new(bound));
                match columns.iter_mut().find(|(known, _)| known == name) {
                    Some((_, replaced)) => *replaced = made,
                    None => columns.push((name.clone(), made)),
                }
            }
            Projection::new(relation, relation.name().clone(), columns).map_err(|error| error.with_setting("columns"))
        })
    }
}

#[async_trait]
impl Operator for Str {
    async fn open(&mut self, _context: &OperatorContext, _state: Option<State>) -> Result<()> {
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        let projected = self.bind(batch.relation())?.apply(&batch)?;
        reject(&batch, &projected.refused, out)?;
        out.emit(OutputPort::MAIN, projected.accepted()?).await
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        let bound = self.bind(&change.relation)?;
        match bound.translate(&change.relation, &change.change, true) {
            Some(seen) => {
                let relation = bound.output().clone();
                out.announce(OutputPort::MAIN, SchemaChange { relation, change: seen, ..change }).await
            }
            None => Ok(()),
        }
    }
}
