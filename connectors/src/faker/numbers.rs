//! The dataset `numbers`: the cheapest rows, for measuring everything else.

use std::sync::Arc;

use aqueduct_model::Result;
use arrow::array::{ArrayRef, Float64Array, Int64Array};
use arrow::datatypes::DataType;

use super::plan::{Key, Table, World};
use super::random::Random;
use super::text::Text;

const WORDS: [&str; 8] = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel"];

/// The table `numbers`.
pub(super) fn numbers() -> Result<Table> {
    let fields = [("id", DataType::Int64), ("value", DataType::Float64), ("text", DataType::Utf8)];
    Table::keyed("numbers", &fields, columns)
}

fn columns(world: &World, keys: &[Key]) -> Result<Vec<ArrayRef>> {
    let ids = Int64Array::from_iter_values(keys.iter().map(|key| key.index as i64 + 1));
    let mut values = Vec::with_capacity(keys.len());
    let mut text = Text::with_capacity(keys.len(), 6);
    for key in keys {
        let bits = Random::of(world.seed, 1, key.index).bits();
        // 53 bits: as many as a double has.
        values.push((bits >> 11) as f64 / (1u64 << 53) as f64 * 1_000.0);
        text.value(WORDS[(bits & 7) as usize]);
    }
    Ok(vec![Arc::new(ids), Arc::new(Float64Array::from(values)), text.finish()?])
}
