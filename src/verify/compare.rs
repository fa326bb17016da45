//! Both sides of one sink, folded and compared.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use aqueduct_engine::plan::Plan;
use aqueduct_engine::runtime::Host;
use aqueduct_model::{Error, RelationName, Result};

use super::collect::{KeyState, Table, Tables, lock};
use super::digest::Digester;
use super::report::{Difference, TableReport};
use super::target::Target;
use super::{Options, pipeline, repair};

/// Compares one sink; `None` when its target cannot be read back.
pub(super) fn compare(host: &Host, plan: &Plan, sink: &str, options: Options) -> Result<Option<Vec<TableReport>>> {
    let task = plan.tasks.iter().find(|task| task.id == sink).ok_or_else(|| Error::bug("no such sink"))?;
    let Some(mut target) = host.wait_on(Target::open(plan, task))? else { return Ok(None) };
    let expected = empty_tables(&target)?;
    pipeline::run(host, plan, sink, &target.positions().clone(), &expected)?;
    let actual = empty_tables(&target)?;
    read_target(host, &mut target, &actual)?;
    let differing = differing_buckets(&expected, &actual);
    let mut reports = Vec::new();
    if differing.is_empty() {
        for (name, table) in lock(&expected).iter() {
            reports.push(TableReport::equal(sink, name, target.cut.epoch, table.total));
        }
        return Ok(Some(reports));
    }
    let (expected, actual) = (second_pass(&expected, &differing)?, second_pass(&actual, &differing)?);
    pipeline::run(host, plan, sink, &target.positions().clone(), &expected)?;
    read_target(host, &mut target, &actual)?;
    let differences = differences(&expected, &actual);
    for (name, table) in lock(&expected).iter() {
        let found = differences.get(name).map(Vec::as_slice).unwrap_or_default();
        let actual_total = lock(&actual).get(name).map(|table| table.total).unwrap_or_default();
        reports.push(TableReport::new(sink, name, target.cut.epoch, (table.total, actual_total), found, options.show));
    }
    if options.repair {
        repair::repair(host, plan, task, target, &differences)?;
        for report in &mut reports {
            report.repaired = true;
        }
    }
    Ok(Some(reports))
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
                found.push(DifferingKey { key: *key, what, text: state.text.clone() });
            }
        }
        let only_there = |(key, state): (&u128, &KeyState)| {
            (!table.keys.contains_key(key)).then(|| DifferingKey {
                key: *key,
                what: Difference::Extra,
                text: state.text.clone(),
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
