//! Where boxes stand: columns from left to right, few crossings, edges as straight as the order allows.
//!
//! The layered method of Sugiyama, Tagawa and Toda (1981): a box stands one column behind the last of its inputs; an edge
//! over several columns gets a place in each of them, so that it does not run through boxes; within a column, places are
//! sorted by the mean of their neighbours.

use super::Graph;

/// How often columns are sorted by their neighbours, forward and back.
const SWEEPS: usize = 8;
/// How often places are moved towards their neighbours.
const MOVES: usize = 12;
/// The height of a box, and of the place that a passing edge takes.
pub(super) const BOX_HEIGHT: f64 = 48.0;
const PASS_HEIGHT: f64 = 18.0;
/// What is free between two places of a column, and at least between two columns.
const GAP_Y: f64 = 26.0;
const GAP_X: f64 = 56.0;
/// What a character takes, on the safe side, in the sizes of ids and of labels.
const CHAR_WIDTH: f64 = 8.2;
const LABEL_CHAR_WIDTH: f64 = 6.4;
/// Around the text of a box, and around the drawing.
const PADDING: f64 = 36.0;
pub(super) const MARGIN: f64 = 24.0;
const BOX_WIDTH_MIN: f64 = 110.0;

/// A place in a column: the left edge, the middle, the width of what stands there.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
}

/// A drawing, in pixels.
pub(super) struct Layout {
    pub(super) width: f64,
    pub(super) height: f64,
    /// By box.
    pub(super) boxes: Vec<Place>,
    /// By edge: the places that it passes in the columns between its ends.
    pub(super) passes: Vec<Vec<Place>>,
}

/// One place of a column while it is being laid out.
struct Slot {
    column: usize,
    width: f64,
    height: f64,
    y: f64,
    /// Slots of the columns before and behind.
    before: Vec<usize>,
    behind: Vec<usize>,
}

/// Lays a graph out.
pub(super) fn layout(graph: &Graph) -> Layout {
    let (mut slots, passes) = slots(graph);
    let column_count = slots.iter().map(|slot| slot.column + 1).max().unwrap_or(0);
    let mut columns: Vec<Vec<usize>> = vec![Vec::new(); column_count];
    for (index, slot) in slots.iter().enumerate() {
        columns[slot.column].push(index);
    }
    sort_columns(&mut columns, &slots);
    stack(&columns, &mut slots);
    for turn in 0..MOVES {
        settle(&columns, &mut slots, turn % 2 == 0);
    }
    let (lefts, width) = column_lefts(graph, &columns, &slots);
    let top = slots.iter().map(|slot| slot.y - slot.height / 2.0).fold(f64::INFINITY, f64::min);
    let bottom = slots.iter().map(|slot| slot.y + slot.height / 2.0).fold(0.0, f64::max);
    let place = |index: usize| {
        let slot: &Slot = &slots[index];
        Place { x: lefts[slot.column], y: (slot.y - top + MARGIN).round(), width: slot.width }
    };
    Layout {
        width,
        height: (bottom - top + 2.0 * MARGIN).round(),
        boxes: (0..graph.boxes.len()).map(place).collect(),
        passes: passes.iter().map(|passes| passes.iter().map(|&slot| place(slot)).collect()).collect(),
    }
}

/// A slot per box, then the slots of edges over several columns, by edge.
fn slots(graph: &Graph) -> (Vec<Slot>, Vec<Vec<usize>>) {
    let mut columns = vec![0; graph.boxes.len()];
    // Boxes are in topological order, so edges sorted by their end are complete when they are looked at.
    let mut by_end: Vec<_> = graph.edges.iter().collect();
    by_end.sort_by_key(|edge| edge.to);
    for edge in by_end {
        columns[edge.to] = columns[edge.to].max(columns[edge.from] + 1);
    }
    let slot = |column, width, height| Slot { column, width, height, y: 0.0, before: Vec::new(), behind: Vec::new() };
    let mut slots: Vec<Slot> = graph
        .boxes
        .iter()
        .zip(&columns)
        .map(|(task, &column)| {
            let chars = task.id.chars().count().max(task.plugin.chars().count());
            slot(column, (chars as f64 * CHAR_WIDTH + PADDING).max(BOX_WIDTH_MIN).round(), BOX_HEIGHT)
        })
        .collect();
    let mut passes = Vec::new();
    for edge in &graph.edges {
        let mut passed = Vec::new();
        let mut last = edge.from;
        for column in columns[edge.from] + 1..columns[edge.to] {
            slots.push(slot(column, 0.0, PASS_HEIGHT));
            passed.push(slots.len() - 1);
            join(&mut slots, last, passed[passed.len() - 1]);
            last = passed[passed.len() - 1];
        }
        join(&mut slots, last, edge.to);
        passes.push(passed);
    }
    (slots, passes)
}

fn join(slots: &mut [Slot], from: usize, to: usize) {
    slots[from].behind.push(to);
    slots[to].before.push(from);
}

/// Sorts each column by the mean place of its neighbours, and keeps the order with the fewest crossings.
fn sort_columns(columns: &mut Vec<Vec<usize>>, slots: &[Slot]) {
    let mut best = columns.clone();
    for sweep in 0..SWEEPS {
        let forward = sweep % 2 == 0;
        let count = columns.len();
        for step in 1..count {
            let column = if forward { step } else { count - 1 - step };
            let ranks = ranks(columns, slots.len());
            let mean = |slot: &usize| {
                let neighbours = if forward { &slots[*slot].before } else { &slots[*slot].behind };
                match neighbours.len() {
                    0 => ranks[*slot] as f64,
                    n => neighbours.iter().map(|&other| ranks[other] as f64).sum::<f64>() / n as f64,
                }
            };
            columns[column].sort_by(|a, b| mean(a).total_cmp(&mean(b)));
        }
        if crossings(columns, slots) < crossings(&best, slots) {
            best = columns.clone();
        }
    }
    *columns = best;
}

/// By slot, its place in its column.
fn ranks(columns: &[Vec<usize>], count: usize) -> Vec<usize> {
    let mut ranks = vec![0; count];
    for column in columns {
        for (rank, &slot) in column.iter().enumerate() {
            ranks[slot] = rank;
        }
    }
    ranks
}

fn crossings(columns: &[Vec<usize>], slots: &[Slot]) -> usize {
    let ranks = ranks(columns, slots.len());
    let mut count = 0;
    for column in columns {
        let ends: Vec<(usize, usize)> =
            column.iter().flat_map(|&slot| slots[slot].behind.iter().map(move |&to| (slot, to))).collect();
        for (i, one) in ends.iter().enumerate() {
            for other in &ends[i + 1..] {
                let from = ranks[one.0].cmp(&ranks[other.0]);
                let to = ranks[one.1].cmp(&ranks[other.1]);
                count += usize::from(from != to && from.is_ne() && to.is_ne());
            }
        }
    }
    count
}

/// Puts every column's slots under each other, all columns around one middle.
fn stack(columns: &[Vec<usize>], slots: &mut [Slot]) {
    for column in columns {
        let height: f64 = column.iter().map(|&slot| slots[slot].height + GAP_Y).sum();
        let mut y = -height / 2.0;
        for &slot in column {
            slots[slot].y = y + (slots[slot].height + GAP_Y) / 2.0;
            y += slots[slot].height + GAP_Y;
        }
    }
}

/// Moves every slot towards the mean of its neighbours, as far as the others of its column let it.
fn settle(columns: &[Vec<usize>], slots: &mut [Slot], forward: bool) {
    let order: Vec<&Vec<usize>> = if forward { columns.iter().collect() } else { columns.iter().rev().collect() };
    for column in order {
        let wanted: Vec<f64> = column.iter().map(|&slot| wanted_y(slots, slot, forward)).collect();
        // From both ends, with the order kept; the mean of the two keeps the order too.
        let mut downwards = wanted.clone();
        for i in 1..column.len() {
            downwards[i] = downwards[i].max(downwards[i - 1] + distance(slots, column[i - 1], column[i]));
        }
        let mut upwards = wanted;
        for i in (1..column.len()).rev() {
            upwards[i - 1] = upwards[i - 1].min(upwards[i] - distance(slots, column[i - 1], column[i]));
        }
        for (i, &slot) in column.iter().enumerate() {
            slots[slot].y = (downwards[i] + upwards[i]) / 2.0;
        }
    }
}

fn wanted_y(slots: &[Slot], slot: usize, forward: bool) -> f64 {
    let mean = |of: &[usize]| of.iter().map(|&other| slots[other].y).sum::<f64>() / of.len() as f64;
    let Slot { before, behind, y, .. } = &slots[slot];
    match (forward, before.is_empty(), behind.is_empty()) {
        (true, false, _) => mean(before),
        (false, _, false) => mean(behind),
        _ => *y,
    }
}

fn distance(slots: &[Slot], upper: usize, lower: usize) -> f64 {
    (slots[upper].height + slots[lower].height) / 2.0 + GAP_Y
}

/// Where each column begins, and how wide everything is; a gap has room for the longest label in it.
fn column_lefts(graph: &Graph, columns: &[Vec<usize>], slots: &[Slot]) -> (Vec<f64>, f64) {
    let mut lefts = Vec::new();
    let mut x = MARGIN;
    for (index, column) in columns.iter().enumerate() {
        lefts.push(x);
        let width = column.iter().map(|&slot| slots[slot].width).fold(0.0, f64::max);
        // A label stands in front of the edge's end.
        let label = graph
            .edges
            .iter()
            .filter(|edge| slots[edge.to].column == index + 1)
            .map(|edge| edge.label.chars().count())
            .max()
            .unwrap_or(0);
        x += (width + GAP_X + label as f64 * LABEL_CHAR_WIDTH).round();
    }
    let last = columns.last().map_or(0.0, |column| column.iter().map(|&slot| slots[slot].width).fold(0.0, f64::max));
    (lefts.clone(), lefts.last().map_or(0.0, |left| left + last) + MARGIN)
}
