//! What a join makes of two tables, once both are known.

use std::sync::Arc;

use aqueduct_model::{Error, Relation, RelationName, Result};
use arrow::datatypes::{DataType, Field, Schema};

use super::config::{JoinConfig, Kind};
use super::side::Side;
use crate::sql::{BoundExpression, Expression, PairSide};

/// See the module.
pub(super) struct Shape {
    pub(super) sides: [Arc<Side>; 2],
    pub(super) output: Arc<Relation>,
    pub(super) chosen: Vec<Chosen>,
    /// Over the needed columns of both tables.
    pub(super) condition: Option<BoundExpression>,
    /// Of which tables rows tell those of the output apart.
    pub(super) by: [bool; 2],
    /// False where only rows of the left table come out.
    pub(super) has_pairs: bool,
    /// When rows of each table come out by themselves.
    pub(super) alone: [Alone; 2],
}

/// When a row of a table comes out by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alone {
    Never,
    WithoutPartner,
    WithPartner,
}

impl Alone {
    /// True for a row with so many partners.
    pub(super) fn shows(self, partners: i64) -> bool {
        match self {
            Self::Never => false,
            Self::WithoutPartner => partners == 0,
            Self::WithPartner => partners > 0,
        }
    }

    /// Of both tables, by the kind of join.
    pub(super) fn of(kind: Kind) -> [Self; 2] {
        match kind {
            Kind::Inner => [Self::Never, Self::Never],
            Kind::Left => [Self::WithoutPartner, Self::Never],
            Kind::Right => [Self::Never, Self::WithoutPartner],
            Kind::Full => [Self::WithoutPartner, Self::WithoutPartner],
            Kind::Semi => [Self::WithPartner, Self::Never],
            Kind::Anti => [Self::WithoutPartner, Self::Never],
        }
    }
}

/// A column of the output: its place among the needed columns of both tables.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub(super) place: usize,
    /// Of a column that stands for both tables: where its value is when the left row is missing.
    pub(super) or: Option<usize>,
    field: Field,
}

impl Shape {
    /// `names` are what the tables are called, `relations` their relations.
    ///
    /// # Errors
    /// `Config` for columns that are not there, or whose types differ.
    pub(super) fn new(
        config: &JoinConfig,
        names: [&str; 2],
        relations: [&Relation; 2],
        sides: [Arc<Side>; 2],
        table: &str,
    ) -> Result<Self> {
        let [left, right] = &sides;
        for ((one, other), (l, r)) in left.compared.iter().zip(&right.compared).zip(config.pairs()) {
            if one != other {
                let text = format!("{l} is {one} and {r} is {other}: they cannot be compared exactly");
                return Err(Error::config(text)
                    .with_setting("on")
                    .with_hint("convert one of them in front of the join: a task Mapping with `cast(… as …)`"));
            }
        }
        let has_pairs = !matches!(config.kind, Kind::Semi | Kind::Anti);
        let alone = Alone::of(config.kind);
        let by = match (&left.key, &right.key) {
            _ if !has_pairs => [true, false],
            // At most one row of the one table meets a row of the other, which therefore says which pair it is.
            (Some(_), _) if config.as_of.is_some() => [true, false],
            (Some(_), Some(_)) if right.by_key.is_some() && alone[1] == Alone::Never => [true, false],
            (Some(_), Some(_)) if left.by_key.is_some() && alone[0] == Alone::Never => [false, true],
            _ => [true, true],
        };
        let all = all(config, names, relations[0], [left, right], has_pairs);
        let key = key(&all, [left, right], by, alone);
        let chosen: Vec<Chosen> = match &config.select {
            None => all,
            Some(names) => names.iter().map(|name| named(&all, name)).collect::<Result<_>>()?,
        };
        let columns = Schema::new(chosen.iter().map(|column| column.field.clone()).collect::<Vec<_>>());
        if let Some(lacking) = key.iter().find(|name| columns.index_of(name).is_err()) {
            return Err(Error::config(format!("{lacking} belongs to the key of the output and is not in it"))
                .with_setting("select")
                .with_hint(format!("add it: `select: [{lacking}, …]`")));
        }
        let output = Arc::new(Relation::new(RelationName::table(table), Arc::new(columns), &key, 1)?);
        let condition = config.condition.as_ref().map(|text| {
            let called = |side: usize| {
                let own = relations[side].name().table.as_str();
                PairSide { columns: &sides[side].narrow, names: vec![names[side], own, ["left", "right"][side]] }
            };
            Expression::parse(text)?.bind_pair([called(0), called(1)])
        });
        let condition = condition.transpose().map_err(|error| error.with_setting("where"))?;
        if condition.as_ref().is_some_and(|condition| *condition.data_type() != DataType::Boolean) {
            return Err(Error::config("the condition is neither true nor false").with_setting("where"));
        }
        Ok(Self { output, chosen, condition, by, has_pairs, alone, sides })
    }
}

/// The name of a right column that the left table has too.
pub(super) fn prefixed(config: &JoinConfig, right: &str, column: &str) -> String {
    match &config.prefix {
        Some(prefix) => format!("{prefix}{column}"),
        None => format!("{right}_{column}"),
    }
}

/// All columns that may come out.
fn all(
    config: &JoinConfig,
    names: [&str; 2],
    left_table: &Relation,
    [left, right]: [&Arc<Side>; 2],
    has_pairs: bool,
) -> Vec<Chosen> {
    let alone = Alone::of(config.kind);
    let shift = left.narrow.fields().len();
    let shared = |name: &str| config.pairs().iter().any(|(l, r)| *l == name && *r == name);
    let lacks = |side: usize| has_pairs && alone[1 - side] != Alone::Never;
    let mut all = Vec::new();
    for (place, field) in left.narrow.fields().iter().enumerate() {
        let or = right.narrow.index_of(field.name()).ok().filter(|_| has_pairs && shared(field.name()));
        let nullable = field.is_nullable() || (lacks(0) && or.is_none());
        all.push(Chosen {
            place,
            or: or.map(|place| place + shift),
            field: field.as_ref().clone().with_nullable(nullable),
        });
    }
    for (place, field) in right.narrow.fields().iter().enumerate().filter(|_| has_pairs) {
        if shared(field.name()) && left.narrow.index_of(field.name()).is_ok() {
            continue;
        }
        // Whether or not the left column is needed, so that choosing columns renames none.
        let name = match left_table.columns().index_of(field.name()) {
            Ok(_) => prefixed(config, names[1], field.name()),
            Err(_) => field.name().clone(),
        };
        let field = field.as_ref().clone().with_name(name).with_nullable(field.is_nullable() || lacks(1));
        all.push(Chosen { place: place + shift, or: None, field });
    }
    all
}

/// The names of the output's key; empty where a part of it could be NULL.
fn key(all: &[Chosen], sides: [&Arc<Side>; 2], by: [bool; 2], alone: [Alone; 2]) -> Vec<String> {
    let shift = sides[0].narrow.fields().len();
    let mut key = Vec::new();
    for side in (0..2).filter(|side| by[*side]) {
        let Some((places, _)) = &sides[side].key else { return Vec::new() };
        if by == [true, true] && alone != [Alone::Never, Alone::Never] {
            return Vec::new();
        }
        for place in places {
            let place = if side == 0 { *place } else { place + shift };
            let column = all.iter().find(|column| column.place == place || column.or == Some(place));
            key.extend(column.map(|column| column.field.name().clone()).filter(|name| !key.contains(name)));
        }
    }
    key
}

fn named(all: &[Chosen], name: &str) -> Result<Chosen> {
    all.iter().find(|column| column.field.name() == name).cloned().ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|column| column.field.name().as_str()).collect();
        Error::config(format!("the joined tables have no column {name}"))
            .with_setting("select")
            .with_hint(format!("columns are: {}", names.join(", ")))
    })
}
