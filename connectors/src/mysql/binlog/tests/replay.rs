//! Replays a log into tables, the way a capture and a sink together do.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aqueduct_model::{BadRowPolicy, BadRows, Batch, Change, Op, Relation, RelationName, Result};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, DurationMicrosecondType, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use chrono::{DateTime, NaiveDate, TimeDelta};

use crate::mysql::binlog::{
    Checksum, Event, Flavor, Payload, RawEvent, RowBuilders, RowDecoder, decode, split_event, table_of,
};
use crate::mysql::ddl::{ApplySettings, CharsetDefault, Dialect, Effect, KnownTables, Statement, apply, parse};
use crate::mysql::rows::ZeroDates;

/// A value that the log does not tell.
const UNTOLD: &str = "?";

#[derive(Default)]
pub(super) struct Replay {
    flavor: Flavor,
    checksum: Checksum,
    dialect: Dialect,
    pub relations: BTreeMap<RelationName, Arc<Relation>>,
    pub rows: BTreeMap<RelationName, Vec<Vec<String>>>,
    decoders: HashMap<u64, RowDecoder>,
    names: HashMap<u64, RelationName>,
    /// Statements that changed rows without telling.
    pub dml: Vec<&'static str>,
    /// Kinds of events, in order.
    pub kinds: Vec<String>,
    /// How rows came: `I`, `BA` for a pair, `A` for a lone new row, `D`; `-` behind each that lacks a value.
    pub ops: Vec<String>,
}

impl KnownTables for Replay {
    fn relation(&self, table: &RelationName) -> Option<Arc<Relation>> {
        self.relations.get(table).cloned()
    }

    fn tables_of(&self, database: &str) -> Vec<RelationName> {
        self.relations.keys().filter(|name| name.schema.as_deref() == Some(database)).cloned().collect()
    }

    fn charset_of(&self, _database: &str) -> CharsetDefault {
        CharsetDefault { charset: Some("utf8mb4".into()), collation: None }
    }
}

impl Replay {
    /// Replays whole events.
    pub fn run(&mut self, events: &[&[u8]]) -> Result<()> {
        for bytes in events {
            let event = split_event(bytes, self.checksum)?;
            self.event(&event)?;
        }
        Ok(())
    }

    pub fn event(&mut self, raw: &RawEvent<'_>) -> Result<()> {
        let event = decode(raw, self.flavor)?;
        let kind = format!("{event:?}");
        self.kinds.push(kind.split([' ', '(']).next().unwrap().to_owned());
        match event {
            Event::Format(format) => {
                (self.flavor, self.checksum) = (format.flavor, format.checksum);
                self.dialect = Dialect::of_server(&format.server_version);
            }
            Event::Query(query) => self.statement(&query.sql(), &query.database)?,
            Event::TableMap(body) => self.table_map(body)?,
            Event::Rows(rows) => {
                if let Some(name) = self.names.get(&rows.table_id) {
                    let decoder = &self.decoders[&rows.table_id];
                    let mut builders = RowBuilders::new(self.relations[name].clone())?;
                    decoder.decode(&rows, &mut builders, &"log:1")?;
                    let batch = builders.finish(&mut BadRows::new(BadRowPolicy::Fail, 0))?;
                    self.apply_rows(&batch.unwrap());
                }
            }
            Event::Payload(payload) => self.payload(&payload)?,
            _ => {}
        }
        Ok(())
    }

    fn payload(&mut self, payload: &Payload<'_>) -> Result<()> {
        let mut events = payload.events()?;
        while let Some(event) = events.next_event()? {
            self.event(&event)?;
        }
        Ok(())
    }

    fn table_map(&mut self, body: &[u8]) -> Result<()> {
        let (id, database, table) = table_of(body)?;
        let name = RelationName {
            catalog: None,
            schema: Some(String::from_utf8(database.to_vec()).unwrap()),
            table: String::from_utf8(table.to_vec()).unwrap(),
        };
        if let Some(relation) = self.relations.get(&name) {
            self.decoders.insert(id, RowDecoder::new(relation, body, ZeroDates::Null)?);
            self.names.insert(id, name);
        }
        Ok(())
    }

    fn statement(&mut self, sql: &str, database: &str) -> Result<()> {
        match parse(sql, database, self.dialect) {
            Statement::Tables(ddl) => {
                let settings = ApplySettings { dialect: self.dialect, zero_dates: ZeroDates::Null, statement: sql };
                for effect in apply(&ddl, self, &settings)? {
                    self.effect(effect);
                }
            }
            Statement::Dml { verb, .. } => self.dml.push(verb),
            Statement::Unknown(names) => panic!("not understood: {sql} {names:?}"),
            _ => {}
        }
        Ok(())
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Change(change) => {
                let (relation, name) = (change.relation, change.change);
                self.change(&relation, &name);
            }
            Effect::Remember(relation) => drop(self.relations.insert(relation.name().clone(), relation)),
            Effect::Undescribed(table) => panic!("{table} is not described"),
            Effect::Cascades { .. } => {}
            Effect::MovesRows { table, what } => panic!("{what} of {table}"),
        }
    }

    fn change(&mut self, relation: &Arc<Relation>, change: &Change) {
        let name = relation.name().clone();
        match change {
            Change::DropTable => {
                self.relations.remove(&name);
                self.rows.remove(&name);
                return;
            }
            Change::CreateTable => drop(self.rows.insert(name.clone(), Vec::new())),
            Change::Truncate => self.rows.get_mut(&name).unwrap().clear(),
            Change::RenameTable { from } => {
                let old = self.relations.remove(from).unwrap();
                assert_eq!(old.version() + 1, relation.version());
                let rows = self.rows.remove(from).unwrap();
                self.rows.insert(name.clone(), rows);
            }
            other => self.reshape(relation, other),
        }
        self.relations.insert(name, relation.clone());
    }

    fn reshape(&mut self, relation: &Relation, change: &Change) {
        let old = &self.relations[relation.name()];
        assert_eq!(old.version() + 1, relation.version());
        let old_name = |name: &str| match change {
            Change::RenameColumn { from, to } if to == name => from.clone(),
            _ => name.to_owned(),
        };
        let origins: Vec<Option<usize>> = relation
            .columns()
            .fields()
            .iter()
            .map(|field| old.columns().index_of(&old_name(field.name())).ok())
            .collect();
        for row in self.rows.get_mut(relation.name()).unwrap() {
            *row = origins.iter().map(|origin| origin.map_or(UNTOLD.to_owned(), |i| row[i].clone())).collect();
        }
    }

    fn apply_rows(&mut self, batch: &Batch) {
        let key = batch.relation().key().to_vec();
        let table = self.rows.get_mut(batch.relation().name()).unwrap();
        let cells = |row: usize| -> Vec<Option<String>> {
            let columns = batch.rows().columns().iter().enumerate();
            columns
                .map(|(i, column)| batch.present(i).is_none_or(|p| p.value(row)).then(|| cell(column, row)))
                .collect()
        };
        let mut before: Option<Vec<Option<String>>> = None;
        for row in 0..batch.num_rows() {
            let new = cells(row);
            let mark = if new.contains(&None) { "-" } else { "" };
            let op = batch.op(row);
            self.ops.push(format!("{}{mark}", ["I", "B", "A", "D"][op as usize]));
            match op {
                Op::Insert => table.push(new.into_iter().map(|cell| cell.unwrap_or(UNTOLD.to_owned())).collect()),
                Op::UpdateBefore => before = Some(new),
                Op::Delete => {
                    let at = find(table, &new, None);
                    table.remove(at);
                }
                Op::UpdateAfter => {
                    let at = match before.take() {
                        Some(old) => find(table, &old, None),
                        None => find(table, &new, Some(&key)),
                    };
                    for (cell, new) in table[at].iter_mut().zip(new) {
                        if let Some(new) = new {
                            *cell = new;
                        }
                    }
                }
            }
        }
    }
}

/// The first row that has these cells.
fn find(table: &[Vec<String>], cells: &[Option<String>], key: Option<&[usize]>) -> usize {
    let is_equal = |row: &Vec<String>| {
        row.iter().zip(cells).enumerate().all(|(i, (have, want))| match want {
            Some(want) if key.is_none_or(|key| key.contains(&i)) => have == want || have == UNTOLD,
            _ => true,
        })
    };
    table.iter().position(is_equal).expect("the row that is changed is there")
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// A cell as the fixtures write it.
pub(super) fn cell(column: &ArrayRef, i: usize) -> String {
    if column.is_null(i) {
        return "NULL".to_owned();
    }
    match column.data_type() {
        DataType::Boolean => u8::from(column.as_boolean().value(i)).to_string(),
        DataType::Int8 => column.as_primitive::<Int8Type>().value(i).to_string(),
        DataType::Int16 => column.as_primitive::<Int16Type>().value(i).to_string(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(i).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(i).to_string(),
        DataType::UInt8 => column.as_primitive::<UInt8Type>().value(i).to_string(),
        DataType::UInt16 => column.as_primitive::<UInt16Type>().value(i).to_string(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(i).to_string(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(i).to_string(),
        DataType::Float32 => format!("{:?}", f64::from(column.as_primitive::<Float32Type>().value(i))),
        DataType::Float64 => format!("{:?}", column.as_primitive::<Float64Type>().value(i)),
        DataType::Decimal128(..) => column.as_primitive::<Decimal128Type>().value_as_string(i),
        DataType::Decimal256(..) => column.as_primitive::<Decimal256Type>().value_as_string(i),
        DataType::Date32 => {
            let days = column.as_primitive::<Date32Type>().value(i);
            (NaiveDate::from_ymd_opt(1970, 1, 1).unwrap() + TimeDelta::days(i64::from(days))).to_string()
        }
        DataType::Timestamp(..) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(i);
            DateTime::from_timestamp_micros(micros).unwrap().format("%Y-%m-%d %H:%M:%S%.6f").to_string()
        }
        DataType::Duration(_) => {
            let micros = column.as_primitive::<DurationMicrosecondType>().value(i);
            let (sign, us) = (if micros < 0 { "-" } else { "" }, micros.abs());
            let seconds = us / 1_000_000;
            format!("{sign}{:02}:{:02}:{:02}.{:06}", seconds / 3600, seconds / 60 % 60, seconds % 60, us % 1_000_000)
        }
        DataType::Utf8 => hex(column.as_string::<i32>().value(i).as_bytes()),
        DataType::Binary => hex(column.as_binary::<i32>().value(i)),
        other => panic!("{other}"),
    }
}
