//! A database in memory, with a log: what a simulation captures.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use aqueduct_model::{Relation, RelationName};
use arrow::datatypes::{DataType, Field, Schema};

use crate::cdc::capture::disk::{Disk, part};

/// A row: its key and its value.
pub(super) type Row = (i64, i64);

/// A change of one row: what it was and what it is.
pub(super) type Change = (Option<Row>, Option<Row>);

/// One transaction of the log.
#[derive(Debug, Clone)]
pub(super) struct Transaction {
    pub(super) changes: Vec<(String, Change)>,
    /// Tables that it creates or empties, or whose shape it changes (to this version), or that it drops.
    pub(super) ddl: Option<(String, Ddl)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ddl {
    /// With a key, or without.
    Create(bool),
    Truncate,
    AddColumn(u32),
    Drop,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub(super) keyed: bool,
    pub(super) native: bool,
    pub(super) version: u32,
    pub(super) rows: Vec<Row>,
}

/// Numbers that look like chance: splitmix64.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(super) fn between(&mut self, from: usize, end: usize) -> usize {
        from + self.below(end - from)
    }

    pub(super) fn ratio(&mut self, of: usize, among: usize) -> bool {
        self.below(among) < of
    }

    pub(super) fn coin(&mut self) -> bool {
        self.ratio(1, 2)
    }
}

/// What happens at a crash point, and what is known of the run.
pub(super) struct Crash {
    /// Crash at this many steps from now.
    pub(super) after: u64,
    pub(super) happened: bool,
}

pub(super) struct World {
    pub(super) random: Dice,
    pub(super) tables: BTreeMap<String, Table>,
    pub(super) log: Vec<Transaction>,
    /// The log begins here; what was before is purged.
    pub(super) purged: usize,
    pub(super) crash: Crash,
    pub(super) points: BTreeMap<&'static str, u64>,
    pub(super) writes_left: u32,
    pub(super) live: BTreeMap<String, Vec<u8>>,
    pub(super) synced: BTreeMap<String, Vec<u8>>,
    /// Whether sights can be vague.
    pub(super) vague: bool,
    pub(super) has_ddl: bool,
    /// Names that may be given again.
    dropped: Vec<String>,
    /// Of every table that ever was.
    native: BTreeMap<String, bool>,
}

/// The world, shared by the fakes of one simulation.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Dice(seed.wrapping_mul(2).wrapping_add(1));
        let mut tables = BTreeMap::new();
        for name in ["a", "b", "c"].iter().take(random.between(1, 4)) {
            tables.insert(
                (*name).to_owned(),
                Table { keyed: random.ratio(4, 5), native: random.coin(), version: 1, rows: Vec::new() },
            );
        }
        let (writes_left, vague, has_ddl) = (random.below(60) as u32, random.coin(), random.coin());
        let native = tables.iter().map(|(name, table): (&String, &Table)| (name.clone(), table.native)).collect();
        let world = World {
            random,
            tables,
            log: Vec::new(),
            purged: 0,
            crash: Crash { after: u64::MAX, happened: false },
            points: BTreeMap::new(),
            writes_left,
            live: BTreeMap::new(),
            synced: BTreeMap::new(),
            vague,
            has_ddl,
            dropped: Vec::new(),
            native,
        };
        let shared = Self(Arc::new(Mutex::new(world)));
        let begun = shared.lock().random.below(12);
        (0..begun).for_each(|_| shared.lock().write());
        shared
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A place where the world goes on: others write, and the process may crash for good.
    pub(super) async fn step(&self, point: &'static str) {
        let crashed = self.lock().step(point);
        if crashed {
            std::future::pending::<()>().await;
        }
        let turns = self.lock().random.below(3);
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }
}

impl World {
    fn step(&mut self, point: &'static str) -> bool {
        if self.crash.happened {
            return true;
        }
        if self.crash.after == 0 {
            self.crash.happened = true;
            *self.points.entry(point).or_default() += 1;
            return true;
        }
        self.crash.after -= 1;
        while self.writes_left > 0 && self.random.ratio(1, 4) {
            self.writes_left -= 1;
            self.write();
        }
        false
    }

    /// One transaction of the application.
    pub(super) fn write(&mut self) {
        if self.has_ddl && self.random.ratio(1, 12) {
            return self.ddl();
        }
        let mut changes = Vec::new();
        for _ in 0..self.random.between(1, 4) {
            let Some(name) = self.any_table() else { return };
            let table = self.tables.get_mut(&name).expect("the name is one of the tables'");
            changes.extend(change(table, &mut self.random).map(|change| (name, change)));
        }
        self.log.push(Transaction { changes, ddl: None });
    }

    fn any_table(&mut self) -> Option<String> {
        let names: Vec<&String> = self.tables.keys().collect();
        if names.is_empty() { None } else { Some(names[self.random.below(names.len())].clone()) }
    }

    /// A new name, or one that a table had before.
    fn name_to_create(&mut self) -> String {
        if self.dropped.is_empty() || self.random.coin() {
            return format!("n{}", self.log.len());
        }
        let index = self.random.below(self.dropped.len());
        self.dropped.swap_remove(index)
    }

    fn ddl(&mut self) {
        let ddl = match self.random.below(6) {
            0 | 1 => (self.name_to_create(), Ddl::Create(self.random.ratio(4, 5))),
            2 | 3 => match self.any_table() {
                Some(name) => (name.clone(), Ddl::AddColumn(self.tables[&name].version + 1)),
                None => return,
            },
            4 => match self.any_table() {
                Some(name) => (name, Ddl::Truncate),
                None => return,
            },
            _ => match self.any_table() {
                Some(name) => (name, Ddl::Drop),
                None => return,
            },
        };
        match &ddl.1 {
            Ddl::Create(keyed) => {
                let table = Table { keyed: *keyed, native: self.is_native(&ddl.0), version: 1, rows: Vec::new() };
                self.tables.insert(ddl.0.clone(), table);
            }
            Ddl::Truncate => self.tables.get_mut(&ddl.0).expect("it was just found").rows.clear(),
            Ddl::AddColumn(version) => self.tables.get_mut(&ddl.0).expect("it was just found").version = *version,
            Ddl::Drop => {
                self.tables.remove(&ddl.0);
                self.dropped.push(ddl.0.clone());
            }
        }
        self.log.push(Transaction { changes: Vec::new(), ddl: Some(ddl) });
    }

    /// Only what is durable is left, and perhaps a part of what is not.
    pub(super) fn lose_what_is_not_synced(&mut self) {
        let mut left = self.synced.clone();
        for (name, bytes) in &self.live {
            if !self.synced.contains_key(name) && self.random.coin() {
                left.insert(name.clone(), part(bytes, 0, self.random.below(bytes.len() + 1)));
            }
        }
        self.live = left;
    }
}

fn change(table: &mut Table, random: &mut Dice) -> Option<Change> {
    let value = random.below(1_000) as i64;
    if table.rows.is_empty() || random.ratio(2, 5) {
        let key = random.below(40) as i64;
        if table.keyed && table.rows.iter().any(|row| row.0 == key) {
            return None;
        }
        table.rows.push((key, value));
        return Some((None, Some((key, value))));
    }
    let index = random.below(table.rows.len());
    let old = table.rows[index];
    match random.below(4) {
        0 => {
            table.rows.remove(index);
            Some((Some(old), None))
        }
        1 => {
            let key = random.below(40) as i64;
            if table.keyed && table.rows.iter().any(|row| row.0 == key) {
                return None;
            }
            table.rows[index] = (key, value);
            Some((Some(old), Some((key, value))))
        }
        _ => {
            table.rows[index].1 = value;
            Some((Some(old), Some(table.rows[index])))
        }
    }
}

/// The columns of a table: `k`, `v`, and one more for each further one.
pub(super) fn relation(name: &str, keyed: bool, columns: u32, version: u32) -> Arc<Relation> {
    let mut fields = vec![Field::new("k", DataType::Int64, false), Field::new("v", DataType::Int64, true)];
    for n in 2..=columns {
        let field = Field::new(format!("c{n}"), DataType::Int64, true);
        let backfilled = [(crate::cdc::capture::BACKFILLED.to_owned(), "true".to_owned())];
        fields.push(if is_backfilled(n) { field.with_metadata(backfilled.into()) } else { field });
    }
    let key: &[&str] = if keyed { &["k"] } else { &[] };
    Arc::new(Relation::new(RelationName::table(name), Arc::new(Schema::new(fields)), key, version).unwrap())
}

/// Every second column is filled in for the rows that are there: with its number.
pub(super) fn is_backfilled(column: u32) -> bool {
    column.is_multiple_of(2)
}

#[async_trait::async_trait]
impl Disk for Shared {
    async fn append(&self, file: &str, bytes: Vec<u8>) -> aqueduct_model::Result<()> {
        self.step("disk.append").await;
        self.lock().live.entry(file.to_owned()).or_default().extend(bytes);
        Ok(())
    }

    async fn publish(&self, from: &str, to: &str) -> aqueduct_model::Result<()> {
        self.step("disk.publish_before").await;
        {
            let mut world = self.lock();
            let bytes = world.live.remove(from).unwrap_or_default();
            world.synced.remove(from);
            world.synced.insert(to.to_owned(), bytes.clone());
            world.live.insert(to.to_owned(), bytes);
        }
        self.step("disk.publish_after").await;
        Ok(())
    }

    async fn read(&self, file: &str, at: u64, bytes: usize) -> aqueduct_model::Result<Option<Vec<u8>>> {
        self.step("disk.read").await;
        Ok(self.lock().live.get(file).map(|all| part(all, at, bytes)))
    }

    async fn length(&self, file: &str) -> aqueduct_model::Result<Option<u64>> {
        Ok(self.lock().live.get(file).map(|all| all.len() as u64))
    }

    async fn list(&self) -> aqueduct_model::Result<Vec<String>> {
        Ok(self.lock().live.keys().cloned().collect())
    }

    async fn remove(&self, file: &str) -> aqueduct_model::Result<()> {
        self.step("disk.remove").await;
        let mut world = self.lock();
        world.live.remove(file);
        if world.random.coin() {
            world.synced.remove(file);
        }
        Ok(())
    }
}

impl World {
    /// Whether the table's keys sort natively, also when it is gone.
    pub(super) fn is_native(&self, name: &str) -> bool {
        self.native.get(name).copied().unwrap_or(true)
    }
}

impl World {
    /// A person says yes to whatever waits; in time.
    pub(super) fn approve(&mut self) {
        if self.random.ratio(2, 3) {
            return;
        }
        let waiting: Vec<String> =
            self.live.keys().filter_map(|file| file.strip_prefix("waiting-")).map(String::from).collect();
        for file in waiting {
            self.live.insert(format!("approved-{file}"), Vec::new());
            self.synced.insert(format!("approved-{file}"), Vec::new());
        }
    }
}
