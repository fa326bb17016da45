//! A rule that knows its column.

use aqueduct_model::{Error, Relation, Result};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};

use super::config::{Keep, Preset, Redact, Rule};
use super::keyed::{Keyed, hex};
use super::text::{keep, map_text};
use super::tokens::Tokens;
use super::{numbers, presets};
use crate::text::{as_text, has_text, text_type};
use crate::verdicts::Refused;

/// What is done to a column.
pub(super) enum BoundRule {
    Keep(Keep),
    Redact(String),
    Hash { keyed: Keyed, length: usize },
    Pseudonym { keyed: Keyed, prefix: String },
    Tokenize(Box<Tokens>),
    DateShift { keyed: Keyed, days: u32, by: usize },
    Noise { keyed: Keyed, percent: f64 },
    Preset(Preset),
    Null,
}

/// How many hex characters a pseudonym has: 80 bits, so that 10^9 values collide with a chance below 10^-6.
const PSEUDONYM_HEX: usize = 20;

/// What stands for a value that is not shown.
const HIDDEN: &str = "***";

impl BoundRule {
    /// Binds a rule to the column `index` of a relation; without a rule the column is emptied.
    ///
    /// # Errors
    /// `Config` when the rule does not fit the column's type, or would make different keys equal.
    pub(super) fn bind(rule: Option<&Rule>, relation: &Relation, index: usize) -> Result<Self> {
        let data_type = relation.columns().field(index).data_type();
        let keeps_apart = matches!(rule, Some(Rule::Hash(_) | Rule::Pseudonym(_) | Rule::Tokenize(_)));
        if relation.key().contains(&index) && !keeps_apart {
            return Err(Error::config("different keys would become equal, or unlike those of other tables").with_hint(
                "mask a key column with `hash`, `pseudonym` or `tokenize`: equal keys stay equal, different ones different",
            ));
        }
        let Some(rule) = rule else { return Ok(Self::Null) };
        let fits = match rule {
            Rule::DateShift(_) => numbers::takes_days(data_type),
            Rule::Noise(_) => numbers::takes_noise(data_type),
            Rule::Redact(_) => true,
            _ => has_text(data_type),
        };
        if !fits {
            return Err(Error::config(format!("the rule does not fit a column of type {data_type}"))
                .with_hint("dates take `date_shift`, numbers `noise`, everything `redact` or null"));
        }
        Ok(match rule {
            Rule::KeepFirst(first) => Self::Keep(Keep { first: *first, last: 0, with: '*' }),
            Rule::KeepLast(last) => Self::Keep(Keep { first: 0, last: *last, with: '*' }),
            Rule::Keep(keep) => Self::Keep(keep.clone()),
            Rule::Redact(Redact::Flag(_)) => Self::Redact(HIDDEN.to_owned()),
            Rule::Redact(Redact::Text(text)) => Self::Redact(text.clone()),
            Rule::Hash(hash) => Self::Hash { keyed: Keyed::new(&hash.salt)?, length: hash.length },
            Rule::Pseudonym(p) => Self::Pseudonym { keyed: Keyed::new(&p.key)?, prefix: p.prefix.clone() },
            Rule::Tokenize(tokenize) => Self::Tokenize(Box::new(Tokens::new(tokenize)?)),
            Rule::DateShift(shift) => {
                let by = shift.by.as_deref().map(|by| key_column(relation, by)).transpose()?.unwrap_or(index);
                Self::DateShift { keyed: Keyed::new(&shift.key)?, days: shift.days, by }
            }
            Rule::Noise(noise) => Self::Noise { keyed: Keyed::new(&noise.key)?, percent: noise.percent },
            Rule::Preset(preset) => Self::Preset(*preset),
        })
    }

    /// The masked column's name, type and nullability.
    pub(super) fn field(&self, field: &Field) -> Field {
        match self {
            Self::Noise { .. } => field.clone(),
            // A date that leaves the calendar becomes NULL.
            Self::DateShift { .. } | Self::Null => field.clone().with_nullable(true),
            _ => field.clone().with_data_type(text_type(field.data_type())),
        }
    }

    /// The masked column. Rows whose value cannot be masked are put into `refused`; they hold [`HIDDEN`].
    pub(super) fn apply(&self, rows: &RecordBatch, index: usize, refused: &mut Refused) -> Result<ArrayRef> {
        let column = rows.column(index);
        match self {
            Self::Keep(Keep { first, last, with }) => map_text(column, |text| keep(text, *first, *last, *with)),
            Self::Redact(text) => redact(column, text),
            Self::Hash { keyed, length } => map_text(column, |text| {
                let mut hash = hex(&keyed.digest(text.as_bytes()));
                hash.truncate(*length);
                hash
            }),
            Self::Pseudonym { keyed, prefix } => {
                map_text(column, |text| format!("{prefix}{}", hex(&keyed.digest(text.as_bytes())[..PSEUDONYM_HEX / 2])))
            }
            Self::Tokenize(tokens) => {
                let texts = as_text(column)?;
                let name = rows.schema_ref().field(index).name();
                let masked = texts.iter().enumerate().map(|(row, text)| {
                    let token = tokens.token(text?);
                    Some(token.unwrap_or_else(|reason| {
                        refused.push((row, format!("column {name}: {reason}")));
                        HIDDEN.to_owned()
                    }))
                });
                let masked: ArrayRef = std::sync::Arc::new(masked.collect::<arrow::array::StringArray>());
                cast(&masked, &text_type(column.data_type()))
                    .map_err(|error| Error::bug("text is not text").with_source(error))
            }
            Self::DateShift { keyed, days, by } => {
                let by =
                    cast(rows.column(*by), &DataType::Utf8).map_err(|_| Error::bug("a key cannot be shown as text"))?;
                let by = by.as_string::<i32>();
                let value = |row: usize| if by.is_null(row) { "" } else { by.value(row) };
                numbers::shift(column, |row| numbers::days(keyed, *days, value(row).as_bytes()))
            }
            Self::Noise { keyed, percent } => numbers::noise(column, *percent, keyed),
            Self::Preset(preset) => map_text(column, |text| presets::apply(*preset, text)),
            Self::Null => Ok(new_null_array(column.data_type(), column.len())),
        }
    }
}

/// The same text for every value that is not NULL, whatever its type.
fn redact(column: &ArrayRef, text: &str) -> Result<ArrayRef> {
    let nulls = column.logical_nulls();
    let values = (0..column.len()).map(|i| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(i)).then_some(text));
    let redacted: ArrayRef = std::sync::Arc::new(values.collect::<arrow::array::StringArray>());
    cast(&redacted, &text_type(column.data_type())).map_err(|error| Error::bug("text is not text").with_source(error))
}

/// A date moves by a key column only: any other may be absent or change, and the date would jump.
fn key_column(relation: &Relation, name: &str) -> Result<usize> {
    let (index, field) = relation.column(name)?;
    if !relation.key().contains(&index) {
        return Err(Error::config(format!("`by: {name}` is not a key column of {}", relation.name())).with_hint(
            format!(
                "the key is ({}); other columns may change, and the date would jump",
                relation.key_names().join(", ")
            ),
        ));
    }
    if !has_text(field.data_type()) {
        return Err(Error::config(format!("`by: {name}` has the type {}, which has no text", field.data_type()))
            .with_hint("use a key column that is a number or a text"));
    }
    Ok(index)
}
