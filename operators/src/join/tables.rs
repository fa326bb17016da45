//! The two tables of a join that goes row by row: which input brings which, and both as they are now.

use std::collections::HashSet;
use std::sync::Arc;

use aqueduct_model::{
    Change, Error, ErrorKind, InputPort, OperatorContext, Relation, RelationName, Result, SchemaChange,
};

use super::config::JoinConfig;
use super::shape::{Shape, prefixed};
use super::side::{Side, shape};
use crate::kept_relation;
use crate::sql::{Expression, declared};
use crate::state::Store;

/// The keys of what the state of each table depends on, and of their relations.
const SHAPES: [&[u8]; 2] = [b"S0", b"S1"];
const TABLES: [&[u8]; 2] = [b"I0", b"I1"];
/// The key that is there once both tables are known.
const MET: &[u8] = b"B";
/// What messages call the tables.
const NAMES: [&str; 2] = ["left", "right"];

/// See the module.
pub(super) struct Tables {
    config: JoinConfig,
    /// What the state depends on besides the columns, as text.
    more: String,
    /// The tasks that feed each input.
    inputs: Vec<String>,
    /// The name of the output table.
    table: String,
    known: [Option<Table>; 2],
    /// `None` until both tables are known.
    shape: Option<Arc<Shape>>,
}

/// A table in its last version.
#[derive(Clone)]
pub(super) struct Table {
    relation: Arc<Relation>,
    pub(super) side: Arc<Side>,
    /// Nothing came of it yet: the settings say what its columns are.
    is_declared: bool,
}

impl Tables {
    /// `more` is what the state depends on besides the columns.
    pub(super) fn new(config: JoinConfig, more: String) -> Self {
        Self { config, more, inputs: Vec::new(), table: String::new(), known: [None, None], shape: None }
    }

    /// Starts with the tables that a state knows.
    ///
    /// # Errors
    /// `State` when it is damaged; `Schema` when it is that of other settings.
    pub(super) fn open(&mut self, context: &OperatorContext, store: &mut Store) -> Result<()> {
        self.table = self.config.table.clone().unwrap_or_else(|| context.task.clone());
        self.inputs.clone_from(&context.inputs);
        for (side, name) in TABLES.iter().enumerate() {
            if let Some(bytes) = store.get(name)? {
                self.bind(side, &kept_relation::read(&bytes)?, store)?;
            }
        }
        Ok(())
    }

    /// A table, once it is known.
    pub(super) fn get(&self, side: usize) -> Option<&Table> {
        self.known[side].as_ref()
    }

    /// What the join makes of the tables, once both are known.
    pub(super) fn shape(&self) -> Option<Arc<Shape>> {
        self.shape.clone()
    }

    /// Which table a relation is.
    ///
    /// # Errors
    /// `Config` when it is neither.
    pub(super) fn side_of(&self, port: InputPort, name: &RelationName) -> Result<usize> {
        let input = self.inputs.get(port.0).map_or("", String::as_str);
        let is_named = |wanted: &Option<String>| {
            wanted.as_ref().map(|wanted| wanted == input || name.matches(wanted)).unwrap_or_default()
        };
        let named = [&self.config.left, &self.config.right];
        let side = match (is_named(named[0]), is_named(named[1])) {
            (true, _) => 0,
            (_, true) => 1,
            _ if port.0 < named.len() && named[port.0].is_none() => port.0,
            _ => {
                let [left, right] = [self.name(0), self.name(1)];
                let text = format!("rows of {name} came by {input}, which is neither {left} nor {right}");
                return Err(Error::config(text).with_setting("left").with_hint(
                    "name the two tables: `left: orders`, `right: customers`; let others pass by with the task's \
                     `tables: […]`",
                ));
            }
        };
        match self.get(side).filter(|known| !known.is_declared) {
            Some(known) if known.relation.name() != name => {
                let text = format!("two tables, {} and {name}, come as the {} one", known.relation.name(), NAMES[side]);
                Err(Error::config(text)
                    .with_setting("left")
                    .with_hint("name the two that are joined: `left: orders`, `right: customers`"))
            }
            _ => Ok(side),
        }
    }

    /// What a table is called.
    fn name(&self, side: usize) -> String {
        let named = [&self.config.left, &self.config.right][side].clone();
        named.or_else(|| self.inputs.get(side).cloned()).unwrap_or_else(|| NAMES[side].to_owned())
    }

    /// Goes on with a table that is called otherwise now.
    pub(super) fn follow(&mut self, change: &SchemaChange) {
        let Change::RenameTable { from } = &change.change else { return };
        if let Some(table) = self.known.iter_mut().flatten().find(|table| table.relation.name() == from) {
            table.relation = Arc::new(table.relation.renamed(change.relation.name().clone()));
        }
    }

    /// Binds a table's relation; true when both became known by it.
    ///
    /// # Errors
    /// `Config` for columns that are not there; `Schema` when the state has rows of other columns.
    pub(super) fn bind(&mut self, side: usize, relation: &Arc<Relation>, store: &mut Store) -> Result<bool> {
        if let Some(known) = self.known[side].as_ref().filter(|known| !known.is_declared)
            && (Arc::ptr_eq(&known.relation, relation) || known.relation == *relation)
        {
            return Ok(false);
        }
        let bound = self.side(side, relation)?;
        self.check_declared(side, relation, &bound)?;
        let (kind, condition) = (self.config.kind, &self.config.condition);
        let on = self.on(side);
        let mut now = format!("{} by {on:?} as {kind:?} where {condition:?}", shape(relation, &bound));
        now.push_str(&self.more);
        let now = now.into_bytes();
        if store.get(SHAPES[side])?.is_some_and(|before| before != now) {
            let text = format!("the columns of {} that are joined, or the settings, are others now", relation.name());
            return Err(Error::new(ErrorKind::Schema, text).with_setting("select").with_hint(
                "name the columns that the output had: `select: [id, …]`; or start over with `aqueduct checkpoint reset`",
            ));
        }
        store.put(SHAPES[side].to_vec(), now)?;
        store.put(TABLES[side].to_vec(), kept_relation::write(relation)?)?;
        self.known[side] = Some(Table { relation: relation.clone(), side: Arc::new(bound), is_declared: false });
        self.meet()?;
        if self.shape.is_none() {
            return Ok(false);
        }
        let is_first = store.get(MET)?.is_none();
        if is_first {
            store.put(MET.to_vec(), Vec::new())?;
        }
        Ok(is_first)
    }

    /// Takes the columns of tables of which nothing came from the settings, where these say them.
    ///
    /// # Errors
    /// `Config` for columns that are not there.
    pub(super) fn declare(&mut self) -> Result<()> {
        for side in (0..2).filter(|side| self.known[*side].is_none()).collect::<Vec<_>>() {
            let name = self.name(side);
            if let Some(columns) = self.config.columns.get(&name) {
                let relation = declared(&name, columns)?;
                let bound = Arc::new(self.side(side, &relation)?);
                self.known[side] = Some(Table { relation, side: bound, is_declared: true });
            }
        }
        self.meet()
    }

    /// Finds out what the join makes of the tables, if both are known.
    fn meet(&mut self) -> Result<()> {
        let [Some(left), Some(right)] = &self.known else { return Ok(()) };
        let relations = [left.relation.as_ref(), right.relation.as_ref()];
        let sides = [left.side.clone(), right.side.clone()];
        let names = [self.name(0), self.name(1)];
        let made = Shape::new(&self.config, [&names[0], &names[1]], relations, sides, &self.table)?;
        self.shape = Some(Arc::new(made));
        Ok(())
    }

    fn on(&self, side: usize) -> Vec<&str> {
        self.config.pairs().iter().map(|pair| if side == 0 { pair.0 } else { pair.1 }).collect()
    }

    /// Binds the columns of a table that are needed.
    fn side(&self, side: usize, relation: &Relation) -> Result<Side> {
        let mut wanted: HashSet<&str> = HashSet::new();
        for field in relation.columns().fields() {
            if self.wants(side, field.name())? {
                wanted.insert(field.name());
            }
        }
        Side::new(relation, &self.on(side), |name| wanted.contains(name))
    }

    /// True for a column that the output or the condition may need.
    fn wants(&self, side: usize, column: &str) -> Result<bool> {
        let Some(select) = &self.config.select else { return Ok(true) };
        let other = prefixed(&self.config, &self.name(1), column);
        let is_selected = select.iter().any(|name| name == column || (side == 1 && *name == other));
        let condition = self.config.condition.as_ref().map(|text| Expression::parse(text)).transpose()?;
        let names = condition.map(|condition| condition.names()).unwrap_or_default();
        Ok(is_selected || names.iter().any(|name| name.eq_ignore_ascii_case(column)))
    }

    /// Compares the columns of a table that came after all with those that the settings say, which went out already.
    fn check_declared(&self, side: usize, relation: &Relation, bound: &Side) -> Result<()> {
        let Some(declared) = self.known[side].as_ref().filter(|known| known.is_declared) else { return Ok(()) };
        let shown = |side: &Side| -> Vec<String> {
            let fields = side.narrow.fields().iter();
            fields.map(|field| format!("{} {}", field.name(), field.data_type())).collect()
        };
        let (said, came) = (shown(&declared.side), shown(bound));
        if said == came {
            return Ok(());
        }
        let text = format!("{} has the columns {}, and not {}", relation.name(), came.join(", "), said.join(", "));
        Err(Error::new(ErrorKind::Schema, text).with_setting("columns").with_hint(
            "write the columns as they come, in their order, and start over with `aqueduct checkpoint reset`",
        ))
    }

    /// The error of rows that find no partner, because nothing came of the other table.
    pub(super) fn unknown(&self, side: usize) -> Error {
        let other = 1 - side;
        let text = format!("nothing came of the {} table, so the columns of the output are not known", NAMES[other]);
        let error = Error::new(ErrorKind::Schema, text).with_setting("type");
        if !self.config.is_timed() {
            return error.with_hint("write `type: inner`, or let the source say its columns where it has no rows");
        }
        let name = self.name(other);
        error.with_hint(format!("write its columns: `columns: {{ {name}: {{ id: bigint, … }} }}`, or `type: inner`"))
    }
}
