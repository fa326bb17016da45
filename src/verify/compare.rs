//! Both sides of one sink, folded and compared.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use aqueduct_engine::plan::{Plan, PlannedTask};
use aqueduct_engine::runtime::Host;
use aqueduct_model::{RelationName, Result};

use super::checksums::{self, Again, Pass};
use super::collect::{KeyState, Table, Tables, lock};
use super::digest::Digester;
use super::pipeline::Part;
use super::report::{Difference, TableReport};
use super::target::Target;
use super::{Options, pipeline, repair};

/// What a comparison of one sink found.
pub(super) struct Compared {
    pub(super) tables: Vec<TableReport>,
    /// Tables of the target that the source does not have now: nothing is said of them.
    pub(super) unseen: Vec<RelationName>,
    /// What is left to be compared.
    pub(super) again: Again,
}

/// Compares one sink with a target whose view is open.
pub(super) fn compare(host: &Host, plan: &Plan, task: &PlannedTask, at: At, options: Options) -> Result<Compared> {
    let At { part, mut target, pass } = at;
    let sink = task.id.as_str();
    if let Some(only) = &pass.only {
        target.tables.retain(|table| only.contains(table.name()));
    }
    let (mut tables, again) = checksums::compare(host, sink, &mut target, &part.sources.checksums());
    if again == Again::All {
        return Ok(Compared { tables, unseen: Vec::new(), again });
    }
    let expected = empty_tables(&target)?;
    pipeline::run(host, part, &target.positions().clone(), &expected)?;
    let unseen = forget_unseen(part, &mut target, &expected);
    let actual = empty_tables(&target)?;
    read_target(host, &mut target, &actual)?;
    let differing = differing_buckets(&expected, &actual);
    let mut rows_read = rows_read(&[&expected, &actual]);
    if differing.is_empty() {
        for (name, table) in lock(&expected).iter() {
            let report = TableReport::equal(sink, name, target.cut.epoch, table.total);
            tables.push(report.having_read(rows_read.remove(name)));
        }
        return Ok(Compared { tables, unseen, again });
    }
    let (expected, actual) = (second_pass(&expected, &differing)?, second_pass(&actual, &differing)?);
    pipeline::run(host, part, &target.positions().clone(), &expected)?;
    read_target(host, &mut target, &actual)?;
    let differences = differences(&expected, &actual);
    for (name, table) in lock(&expected).iter() {
        let found = differences.get(name).map(Vec::as_slice).unwrap_or_default();
        let actual_total = lock(&actual).get(name).map(|table| table.total).unwrap_or_default();
        let report = TableReport::new(sink, name, target.cut.epoch, (table.total, actual_total), found, options.show);
        tables.push(report.having_read(rows_read.remove(name)));
    }
    if options.repair {
        let known: Vec<String> = target.tables.iter().map(|relation| relation.name().to_string()).collect();
        repair::repair(host, (plan, part), task, target, &differences)?;
        for report in tables.iter_mut().filter(|report| !report.is_by_checksum()) {
            report.repaired = known.contains(&report.table);
        }
    }
    Ok(Compared { tables, unseen, again })
}

/// The two sides, fixed at one position.
pub(super) struct At<'a> {
    pub(super) part: &'a Part,
    pub(super) target: Target,
    pub(super) pass: &'a Pass,
}

/// The rows that were read of each table.
fn rows_read(sides: &[&Tables]) -> BTreeMap<RelationName, u64> {
    let mut read = BTreeMap::new();
    for side in sides {
        for (name, table) in lock(side).iter() {
            *read.entry(name.clone()).or_default() += table.rows_read;
        }
    }
    read
}

/// Takes out the tables that a server does not have, or that wait for a person: what is in the target stays as it is.
fn forget_unseen(part: &Part, target: &mut Target, expected: &Tables) -> Vec<RelationName> {
    if part.sources.is_empty() {
        return Vec::new();
    }
    let mut tables = lock(expected);
    let unseen: Vec<RelationName> =
        tables.iter().filter(|(_, table)| !table.seen).map(|(name, _)| name.clone()).collect();
    tables.retain(|name, _| !unseen.contains(name));
    target.tables.retain(|relation| !unseen.contains(relation.name()));
    unseen
}

fn empty_tables(target: &Target) -> Result<Tables> {
    let mut tables = BTreeMap::new();
    for relation in &target.tables {
        tables.insert(relation.name().clone(), Table::new(Digester::new(relation.clone())?));
    }
    Ok(Arc::new(Mutex::new(tables)))
}

/// Folds every table of the target.
pub(super) fn read_target(host: &Host, target: &mut Target, tables: &Tables) -> Result<()> {
    let names: Vec<RelationName> = target.tables.iter().map(|relation| relation.name().clone()).collect();
    for name in names {
        host.wait_on(target.scan(&name, |rows| match lock(tables).get_mut(&name) {
            Some(table) => table.fold(rows, |_| 1),
            None => Ok(()),
        }))?;
    }
    Ok(())
}

/// By table, which buckets differ. A table that only one side has differs in every bucket it uses.
fn differing_buckets(expected: &Tables, actual: &Tables) -> BTreeMap<RelationName, Vec<bool>> {
    let (expected, actual) = (lock(expected), lock(actual));
    let mut differing = BTreeMap::new();
    for (name, table) in expected.iter() {
        let other = actual.get(name);
        let unequal: Vec<bool> = table
            .buckets
            .iter()
            .enumerate()
            .map(|(i, sum)| *sum != other.map(|other| other.buckets[i]).unwrap_or_default())
            .collect();
        if unequal.contains(&true) {
            differing.insert(name.clone(), unequal);
        }
    }
    differing
}

/// Fresh tables that keep the keys of the buckets that differ.
fn second_pass(tables: &Tables, differing: &BTreeMap<RelationName, Vec<bool>>) -> Result<Tables> {
    let mut fresh = BTreeMap::new();
    for (name, table) in lock(tables).iter() {
        let mut empty = Table::new(Digester::new(table.digester.relation().clone())?);
        empty.seen = table.seen;
        empty.wanted = differing.get(name).cloned().unwrap_or_default();
        fresh.insert(name.clone(), empty);
    }
    Ok(Arc::new(Mutex::new(fresh)))
}

/// A key that differs.
#[derive(Debug, Clone)]
pub(super) struct DifferingKey {
    pub(super) key: u128,
    pub(super) what: Difference,
    pub(super) text: String,
    /// The columns with other values.
    pub(super) columns: Vec<String>,
}

fn differences(expected: &Tables, actual: &Tables) -> BTreeMap<RelationName, Vec<DifferingKey>> {
    let (expected, actual) = (lock(expected), lock(actual));
    let nothing = HashMap::new();
    let mut all = BTreeMap::new();
    for (name, table) in expected.iter() {
        let there = actual.get(name).map_or(&nothing, |table| &table.keys);
        let mut found = Vec::new();
        for (key, state) in &table.keys {
            let other = there.get(key).cloned().unwrap_or_default();
            if state.sum != other.sum {
                let what = classify(state.sum.rows, other.sum.rows);
                let columns = if what == Difference::Different { table.differing(state, &other) } else { Vec::new() };
                found.push(DifferingKey { key: *key, what, text: state.text.clone(), columns });
            }
        }
        let only_there = |(key, state): (&u128, &KeyState)| {
            (!table.keys.contains_key(key)).then(|| DifferingKey {
                key: *key,
                what: Difference::Extra,
                text: state.text.clone(),
                columns: Vec::new(),
            })
        };
        found.extend(there.iter().filter_map(only_there));
        found.sort_by(|a, b| a.text.cmp(&b.text));
        all.insert(name.clone(), found);
    }
    all
}

fn classify(expected: i64, actual: i64) -> Difference {
    match (expected, actual) {
        (0, _) => Difference::Extra,
        (_, 0) => Difference::Missing,
        _ => Difference::Different,
    }
}
