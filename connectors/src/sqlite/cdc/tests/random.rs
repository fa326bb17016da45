//! Random applications, random readers: whatever both do, at every position the target is a state that the database was
//! in, and in the end it is the database.

use aqueduct_model::{ErrorKind, Polled, Position};

use super::{Fold, Reader, Settings, Shop};

const SCHEMA: &str = "
    CREATE TABLE one(id INTEGER PRIMARY KEY, n INTEGER);
    CREATE TABLE two(id TEXT PRIMARY KEY, n INTEGER);
    CREATE TABLE users(id INTEGER PRIMARY KEY, email TEXT UNIQUE, nick TEXT);
    CREATE TABLE pairs(a TEXT COLLATE NOCASE, b INTEGER, v TEXT, PRIMARY KEY (a, b DESC)) WITHOUT ROWID;
    CREATE TABLE notes(a TEXT, b REAL);";
const ACCOUNTS: usize = 12;
const SCRIPTS: u64 = 60;
const STEPS: usize = 90;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.roll(choices.len() as u64) as usize]
    }
}

/// One statement of the application. Letters stand for numbers, columns and tables that exist or may not.
fn statement(dice: &mut Dice) -> String {
    let (k, m, x) = (dice.roll(25), dice.roll(25), dice.roll(100));
    let letter = dice.pick(&["'a'", "'A'", "'b'", "'B'", "'c'"]);
    let or = dice.pick(&["", "OR REPLACE", "OR IGNORE", "OR FAIL", "OR ABORT"]);
    match dice.roll(14) {
        0 | 1 => format!("INSERT {or} INTO users(id, email, nick) VALUES ({k}, 'e{m}', 'n{x}'), ({m}, 'e{k}', 'm')"),
        2 => format!("INSERT {or} INTO users(email, nick) VALUES ('e{m}', 'auto')"),
        3 => format!(
            "INSERT INTO users(id, email) VALUES ({k}, 'e{m}') ON CONFLICT (id) DO UPDATE SET nick = 'u{x}', email = excluded.email"
        ),
        4 => format!("UPDATE {or} users SET email = 'e{m}', nick = NULL WHERE id = {k}"),
        5 => format!("UPDATE {or} users SET id = {m} WHERE id BETWEEN {k} AND {k} + 1"),
        6 => format!("DELETE FROM users WHERE id % 9 = {}", k % 9),
        7 | 8 => format!("INSERT {or} INTO pairs(a, b, v) VALUES ({letter}, {}, 'v{x}')", k % 6),
        9 => format!("UPDATE {or} pairs SET a = {letter}, b = {} WHERE b = {}", m % 6, k % 6),
        10 => format!("DELETE FROM pairs WHERE a = {letter} AND b > {}", k % 6),
        11 => format!("INSERT INTO notes(a, b) VALUES ('n{k}', {x} / 4.0), ('same', 1.0)"),
        12 => format!("UPDATE notes SET b = {x} WHERE rowid % 7 = {}", k % 7),
        _ => format!("DELETE FROM notes WHERE rowid % 11 = {}", k % 11),
    }
}

fn ddl(dice: &mut Dice) -> String {
    let n = dice.roll(1_000);
    match dice.roll(11) {
        0 => format!("ALTER TABLE users ADD COLUMN c{n} TEXT"),
        1 => format!("ALTER TABLE pairs ADD COLUMN c{n} INTEGER DEFAULT {n}"),
        2 => format!("ALTER TABLE notes ADD COLUMN c{n} TEXT DEFAULT 'd'"),
        3 => format!(
            "ALTER TABLE notes RENAME COLUMN a TO z; ALTER TABLE notes RENAME COLUMN z TO {}",
            dice.pick(&["a", "z"])
        ),
        4 => "VACUUM".into(),
        5 => "CREATE UNIQUE INDEX by_nick ON users(nick, email)".into(),
        6 => "DROP INDEX by_nick".into(),
        7 => format!(
            "CREATE TABLE extra{n}(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO extra{n} VALUES (1, 'x'), (2, 'y')"
        ),
        8 => "DROP TRIGGER _aqueduct_users_d".into(),
        9 => "ALTER TABLE notes RENAME TO moved; CREATE TABLE notes(a TEXT, b REAL)".into(),
        _ => "DROP TABLE IF EXISTS moved".into(),
    }
}

/// One thing that the application does. What SQLite refuses is refused for the application too.
fn act(shop: &Shop, dice: &mut Dice) {
    let transfer = |dice: &mut Dice| {
        let (from, to, n) = (dice.roll(ACCOUNTS as u64) + 1, dice.roll(ACCOUNTS as u64) + 1, dice.roll(50));
        format!("UPDATE one SET n = n - {n} WHERE id = {from}; UPDATE two SET n = n + {n} WHERE id = 'k{to}'")
    };
    let script = match dice.roll(20) {
        0 => ddl(dice),
        1..=4 => format!("BEGIN; {}; {}; {}; COMMIT", transfer(dice), statement(dice), transfer(dice)),
        5 => format!("BEGIN; {}; {}; ROLLBACK", statement(dice), transfer(dice)),
        6 => format!(
            "BEGIN; {}; SAVEPOINT s; {}; ROLLBACK TO s; {}; COMMIT",
            transfer(dice),
            statement(dice),
            statement(dice)
        ),
        _ => statement(dice),
    };
    if shop.db.execute_batch(&script).is_err() && !shop.db.is_autocommit() {
        shop.run("ROLLBACK");
    }
}

/// The reader's world: what is committed, and what it does next.
struct World {
    shop: Shop,
    dice: Dice,
    reader: Option<Reader>,
    fold: Fold,
    committed: Option<(Position, Fold)>,
    before: Option<(Position, Fold)>,
}

impl World {
    fn settings(&self) -> Settings {
        Settings { chunk_rows: 6, ..self.shop.settings() }
    }

    fn reader(&mut self) -> &mut Reader {
        if self.reader.is_none() {
            let mut reader =
                Reader::open(self.settings(), self.committed.as_ref().map(|(position, _)| position)).unwrap();
            reader.budget.max_rows = 1 + self.dice.roll(8) as usize;
            self.reader = Some(reader);
        }
        self.reader.as_mut().unwrap()
    }

    fn poll(&mut self) {
        let polled = self.reader().poll().unwrap();
        self.fold.apply(&polled);
        if self.reader().position().is_some() {
            check_accounts(&self.fold);
        }
    }

    fn commit(&mut self) {
        while self.reader().position().is_none() {
            self.poll();
        }
        self.fold.log.clear();
        let position = self.reader().position().unwrap();
        self.before = self.committed.replace((position, self.fold.clone()));
    }

    fn crash(&mut self) {
        self.reader = None;
        self.fold = self.committed.as_ref().map(|(_, fold)| fold.clone()).unwrap_or_default();
    }

    fn acknowledge(&mut self) {
        let Some((position, _)) = self.committed.clone() else { return };
        self.reader().acknowledge(&position).unwrap();
        self.before = None;
    }

    /// Reads the last epoch again, as for a sink that missed it.
    fn replay(&mut self) {
        let (Some((from, before)), Some((until, after))) = (self.before.clone(), self.committed.clone()) else {
            return;
        };
        self.crash();
        let mut reader = Reader::open(self.settings(), Some(&from)).unwrap();
        reader.budget.until = Some(until);
        let mut fold = before;
        match reader.drain(&mut fold) {
            Ok(_) => assert!(fold.is_at_least(&after), "{:?}\n{:?}", fold.tables, after.tables),
            Err(error) => assert_eq!(error.kind(), ErrorKind::LostPosition, "{error:?}"),
        }
    }
}

fn check_accounts(fold: &Fold) {
    if !["one", "two"].iter().all(|table| fold.tables.contains_key(*table) && fold.rows(table).len() == ACCOUNTS) {
        return;
    }
    let number = |row: String| row.split('|').nth(1).unwrap().parse::<i64>().unwrap();
    let total: i64 = ["one", "two"].iter().flat_map(|table| fold.rows(table)).map(number).sum();
    assert_eq!(total, 2 * 100 * ACCOUNTS as i64, "half a transaction is shown");
}

fn play(seed: u64) {
    let shop = Shop::new(SCHEMA);
    shop.fill("INSERT INTO one SELECT value, 100", ACCOUNTS);
    shop.fill("INSERT INTO two SELECT 'k' || value, 100", ACCOUNTS);
    shop.fill("INSERT INTO notes SELECT 'n' || value, value", 20);
    let dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut world = World { shop, dice, reader: None, fold: Fold::default(), committed: None, before: None };
    for _ in 0..STEPS {
        for _ in 0..world.dice.roll(3) {
            act(&world.shop, &mut world.dice);
        }
        match world.dice.roll(12) {
            0 => world.crash(),
            1 | 2 => world.commit(),
            3 => world.acknowledge(),
            4 => world.replay(),
            _ => world.poll(),
        }
    }
    let mut reader = world.reader.take().unwrap_or_else(|| {
        Reader::open(world.settings(), world.committed.as_ref().map(|(position, _)| position)).unwrap()
    });
    let edge = reader.drain(&mut world.fold).unwrap();
    world.fold.assert_equals(&world.shop);
    let mut seen = Fold::default();
    let mut scan = Reader::scan(world.settings(), Some(&edge));
    while let Ok(given @ (Polled::Batch(_) | Polled::Schema(_))) = scan.poll() {
        seen.apply(&given);
    }
    seen.assert_equals(&world.shop);
}

#[test]
fn every_script_ends_with_equal_tables() {
    for seed in 1..=SCRIPTS {
        let result = std::panic::catch_unwind(|| play(seed));
        assert!(result.is_ok(), "script {seed}");
    }
}
