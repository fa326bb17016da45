//! Rows of JSON as columns, read as `JSONInput` reads them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use aqueduct_model::{BadRow, Batch, Error, ErrorKind, Relation, RelationName, Result};
use arrow::datatypes::{Field, Schema};

use super::super::json::Json;
use super::config::HttpInputConfig;
use crate::text_files::{Cell, CellRules, ColumnType, Guess, QUOTED, Records, Shape, decode};

/// Most columns that are inferred.
const COLUMNS_MAX: usize = 1_000;
/// Most text that is read as columns at once: cells are addressed by 30 bits.
const TEXT_BYTES_MAX: usize = 1 << 30;

/// The columns, once they are known.
#[derive(Debug)]
pub(super) struct Layout {
    relation: Arc<Relation>,
    /// Which cell of a row each column is: its own.
    places: Vec<usize>,
    given: Vec<(String, ColumnType)>,
    /// The inferred names: a row may have no other members. `None` where a person wrote the columns.
    known: Option<BTreeSet<String>>,
    rules: CellRules,
}

/// Rows that fit, and rows that do not.
pub(super) struct Read {
    /// `None` when no row fits.
    pub batch: Option<Batch>,
    /// With the rows' numbers among those given.
    pub refused: Vec<(usize, BadRow)>,
}

impl Layout {
    /// With the columns that a person wrote, or those that were inferred once.
    ///
    /// # Errors
    /// `Schema` when a key column is not among them.
    pub(super) fn new(config: &HttpInputConfig, inferred: &[(String, String)]) -> Result<Option<Self>> {
        let given = config.columns.0.clone();
        let mut columns = given.clone();
        let known = columns.is_empty().then(|| inferred.iter().map(|(name, _)| name.clone()).collect());
        if known.is_some() {
            for (name, kind) in inferred {
                let kind = kind.parse().map_err(|why: String| Error::new(ErrorKind::LostPosition, why))?;
                columns.push((name.clone(), kind));
            }
        }
        if columns.is_empty() {
            return Ok(None);
        }
        let field = |(name, kind): &(String, ColumnType)| Field::new(name, kind.0.clone(), !config.key.contains(name));
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        let relation = Relation::new(RelationName::table(&config.name), schema, &config.key, 1)
            .map_err(|error| error.with_setting("key"))?;
        let rules =
            CellRules { null_values: vec![String::new()], trim: false, quoted_is_value: true, number_is_moment: true };
        Ok(Some(Self { relation: Arc::new(relation), places: (0..columns.len()).collect(), given, known, rules }))
    }

    /// The rows as columns; what does not fit is left out, with reasons.
    ///
    /// # Errors
    /// `Data` when the rows are too large to be read at once.
    pub(super) fn read(&self, rows: &[Json]) -> Result<Read> {
        let (mut text, mut cells) = (String::new(), Vec::with_capacity(rows.len() * self.places.len()));
        let (mut numbers, mut refused) = (Vec::with_capacity(rows.len()), Vec::new());
        for (number, row) in rows.iter().enumerate() {
            if let Some(reason) = self.misshapen(row) {
                refused.push((number, self.refused(row, reason)));
                continue;
            }
            numbers.push(number);
            for field in self.relation.columns().fields() {
                cells.push(cell(row.at(field.name()), &mut text)?);
            }
        }
        let shape = Shape { relation: &self.relation, places: &self.places, given: &self.given };
        let mut decoded = decode(shape, &self.rules, Records::new(&text, "", &cells, self.places.len()))?;
        for (record, reason) in std::mem::take(&mut decoded.refused) {
            let number = numbers[record];
            refused.push((number, self.refused(&rows[number], reason)));
        }
        refused.sort_by_key(|(number, _)| *number);
        Ok(Read { batch: decoded.batch(&self.relation)?, refused })
    }

    fn misshapen(&self, row: &Json) -> Option<String> {
        let Json::Object(members) = row else { return Some("the row is no JSON object".to_owned()) };
        let mut seen = BTreeSet::new();
        members.iter().find_map(|(name, _)| match &self.known {
            _ if !seen.insert(name) => Some(format!("it has the member {name} twice")),
            Some(known) if !known.contains(name) => {
                Some(format!("{name} is not among the inferred columns; give `columns`"))
            }
            _ => None,
        })
    }

    fn refused(&self, row: &Json, reason: String) -> BadRow {
        let relation = Some(self.relation.name().clone());
        BadRow { relation, row: row.to_text().into(), reasons: vec![reason], position: None }
    }
}

/// A value's text at the end of the others; lists and objects are JSON.
fn cell(value: Option<&Json>, text: &mut String) -> Result<Cell> {
    let start = text.len();
    let flags = match value {
        None | Some(Json::Null) => 0,
        Some(Json::Text(value)) => {
            text.push_str(value);
            QUOTED
        }
        Some(value) => {
            text.push_str(&value.to_text());
            0
        }
    };
    if text.len() >= TEXT_BYTES_MAX {
        return Err(Error::new(ErrorKind::Data, "the rows of a page are too large to be read at once")
            .with_setting("max_batch_rows")
            .with_hint("lower `max_batch_rows`, or ask for smaller pages"));
    }
    Ok(Cell::new(start, text.len(), flags))
}

/// The columns that rows have in common, in the order in which they first appear.
///
/// # Errors
/// `Schema` when there are too many.
pub(super) fn infer(rows: &[Json]) -> Result<Vec<(String, String)>> {
    let mut found: Vec<(&str, Guess)> = Vec::new();
    let mut places = HashMap::new();
    for row in rows {
        let Json::Object(members) = row else { continue };
        for (name, value) in members {
            let place = *places.entry(name.as_str()).or_insert_with(|| {
                found.push((name, Guess::default()));
                found.len() - 1
            });
            let guess = &mut found[place].1;
            *guess = match value {
                Json::Null => *guess,
                Json::Text(text) => guess.and_quoted(text),
                // Their JSON is text.
                Json::List(_) | Json::Object(_) => guess.and("{"),
                value => guess.and(value.scalar().unwrap_or_default()),
            };
        }
        if found.len() > COLUMNS_MAX {
            return Err(Error::new(ErrorKind::Schema, format!("the rows have more than {COLUMNS_MAX} members"))
                .with_setting("columns")
                .with_hint("name the ones that are needed: `columns: { id: int64 }`"));
        }
    }
    let text = |guess: Guess| ColumnType(guess.data_type()).to_string();
    Ok(found.into_iter().map(|(name, guess)| (name.to_owned(), text(guess))).collect())
}
