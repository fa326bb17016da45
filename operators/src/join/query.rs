//! The query of a bounded join, and what comes out of it.

use aqueduct_model::{Error, Relation, Result};
use arrow::datatypes::DataType;

use super::config::{JoinConfig, Kind};
use crate::sql::whole::quoted;

/// What a join of two tables gives.
#[derive(Debug)]
pub(super) struct Layout {
    /// The query.
    pub(super) text: String,
    /// The key of the output.
    pub(super) key: Vec<String>,
}

impl Layout {
    /// Plans the join of `left` and `right`, which conditions call by the names given.
    ///
    /// # Errors
    /// `Config` for columns that do not exist, or cannot be equal.
    pub(super) fn new(config: &JoinConfig, left: (&str, &Relation), right: (&str, &Relation)) -> Result<Self> {
        let pairs = pairs(config, left.1, right.1)?;
        let columns = Columns::new(config, &pairs, left, right);
        let on: Vec<String> = pairs.iter().map(|(l, r)| format!("{} = {}", of(left.0, l), of(right.0, r))).collect();
        let mut condition = on.join(" and ");
        if let Some(more) = &config.condition {
            condition = format!("{condition} and ({more})");
        }
        let join = match config.kind {
            Kind::Inner => "inner join",
            Kind::Left => "left join",
            Kind::Right => "right join",
            Kind::Full => "full join",
            Kind::Semi => "left semi join",
            Kind::Anti => "left anti join",
        };
        let text = format!(
            "select {} from {} {join} {} on {condition}",
            columns.selected.join(", "),
            quoted(left.0),
            quoted(right.0)
        );
        let key = config.key.clone().unwrap_or_else(|| default_key(config.kind, &pairs, &columns, left.1, right.1));
        Ok(Self { text, key })
    }
}

/// A column behind its table's name.
fn of(table: &str, column: &str) -> String {
    format!("{}.{}", quoted(table), quoted(column))
}

/// The columns that are equal, by the names that the tables give them.
fn pairs(config: &JoinConfig, left: &Relation, right: &Relation) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    for (l, r) in config.pairs() {
        let found = |relation: &Relation, name: &str| {
            let exact = relation.columns().fields().iter().find(|field| field.name() == name);
            let about = || {
                let mut about = relation.columns().fields().iter().filter(|f| f.name().eq_ignore_ascii_case(name));
                about.next().filter(|_| about.next().is_none())
            };
            match exact.or_else(about) {
                Some(field) => Ok((field.name().clone(), field.data_type().clone())),
                None => relation.column(name).map(|(_, f)| (f.name().clone(), f.data_type().clone())),
            }
        };
        let (l, left_type) = found(left, l).map_err(|error| error.with_setting("on"))?;
        let (r, right_type) = found(right, r).map_err(|error| error.with_setting("on"))?;
        if !comparable(&left_type, &right_type) {
            let text = format!("{l} is {left_type} and {r} is {right_type}: they cannot be compared exactly");
            return Err(Error::config(text)
                .with_setting("on")
                .with_hint("convert one of them in front of the join: a task Mapping with `cast(… as …)`"));
        }
        pairs.push((l, r));
    }
    Ok(pairs)
}

/// True for types whose values are compared without guessing.
fn comparable(left: &DataType, right: &DataType) -> bool {
    let is_exact = |t: &DataType| t.is_integer() || matches!(t, DataType::Decimal128(..) | DataType::Decimal256(..));
    let is_text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let is_bytes = |t: &DataType| matches!(t, DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    let zone = |t: &DataType| match t {
        DataType::Timestamp(_, zone) => Some(zone.is_some()),
        _ => None,
    };
    left == right
        || is_exact(left) && is_exact(right)
        || left.is_floating() && right.is_floating()
        || is_text(left) && is_text(right)
        || is_bytes(left) && is_bytes(right)
        || zone(left).is_some() && zone(left) == zone(right)
}

/// The columns of the output.
struct Columns {
    /// As they stand behind `select`.
    selected: Vec<String>,
    /// The output's name for each column of the right table that comes out.
    right: Vec<(String, String)>,
}

impl Columns {
    fn new(config: &JoinConfig, pairs: &[(String, String)], left: (&str, &Relation), right: (&str, &Relation)) -> Self {
        let names = |relation: &Relation| -> Vec<String> {
            relation.columns().fields().iter().map(|field| field.name().clone()).collect()
        };
        let (of_left, of_right) = (names(left.1), names(right.1));
        let shared = |column: &str| pairs.iter().any(|(l, r)| l == column && r == column);
        let mut selected = Vec::new();
        for column in &of_left {
            // The one column that stands for both has the value of the side that is there.
            let value = match config.kind {
                Kind::Right if shared(column) => of(right.0, column),
                Kind::Full if shared(column) => format!("coalesce({}, {})", of(left.0, column), of(right.0, column)),
                _ => of(left.0, column),
            };
            selected.push(format!("{value} as {}", quoted(column)));
        }
        let mut renamed = Vec::new();
        if !matches!(config.kind, Kind::Semi | Kind::Anti) {
            let prefix = config.prefix.clone().unwrap_or_else(|| format!("{}_", right.0));
            for column in of_right {
                if shared(&column) {
                    renamed.push((column.clone(), column));
                    continue;
                }
                let name = if of_left.contains(&column) { format!("{prefix}{column}") } else { column.clone() };
                selected.push(format!("{} as {}", of(right.0, &column), quoted(&name)));
                renamed.push((column, name));
            }
        }
        Self { selected, right: renamed }
    }
}

fn default_key(
    kind: Kind,
    pairs: &[(String, String)],
    columns: &Columns,
    left: &Relation,
    right: &Relation,
) -> Vec<String> {
    let of_left = || left.key_names().into_iter().map(str::to_owned).collect::<Vec<_>>();
    let right_key = right.key_names();
    let has_one_partner = !right_key.is_empty() && right_key.iter().all(|key| pairs.iter().any(|(_, r)| r == key));
    match kind {
        Kind::Semi | Kind::Anti => of_left(),
        Kind::Inner | Kind::Left if has_one_partner => of_left(),
        Kind::Inner if !left.key().is_empty() && !right_key.is_empty() => {
            let mut key = of_left();
            for column in right_key {
                let name = columns.right.iter().find(|(old, _)| old == column).map(|(_, name)| name.clone());
                key.extend(name.filter(|name| !key.contains(name)));
            }
            key
        }
        _ => Vec::new(),
    }
}
