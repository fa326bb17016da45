//! The shop: two tables, and what happens in them.

use std::path::Path;
use std::time::Duration;

use aqueduct_model::Result;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::daemon::unavailable;

/// How long the shop waits for a lock of someone else.
const BUSY: Duration = Duration::from_secs(10);

const SCHEMA: &str = "
    CREATE TABLE customers (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT, phone TEXT, city TEXT,
        order_count INTEGER NOT NULL DEFAULT 0, last_seen DATETIME
    );
    CREATE TABLE orders (
        id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers(id), product TEXT NOT NULL,
        quantity INTEGER NOT NULL, amount DECIMAL(12,2) NOT NULL, status TEXT NOT NULL, created_at DATETIME NOT NULL
    );
    CREATE INDEX orders_by_customer ON orders (customer_id);";

const NOW: &str = "strftime('%Y-%m-%d %H:%M:%f', 'now')";
const FIRST_NAMES: [&str; 12] =
    ["Ada", "Bo", "Chen", "Dilek", "Emil", "Fatima", "Grace", "Hugo", "Ines", "Jun", "Kofi", "Lena"];
const LAST_NAMES: [&str; 10] =
    ["Alvarez", "Brandt", "Costa", "Dupont", "Eriksen", "Fischer", "Ito", "Kowalski", "Novak", "Zhang"];
const CITIES: [&str; 8] = ["Berlin", "Hangzhou", "Lisbon", "Nairobi", "Oslo", "Porto", "Shanghai", "Vienna"];
const PRODUCTS: [&str; 10] =
    ["lamp", "desk", "chair", "kettle", "bicycle", "notebook", "tent", "backpack", "teapot", "camera"];
const STATUSES: [&str; 4] = ["paid", "packed", "shipped", "delivered"];

/// A shop that is open for business.
pub(super) struct Shop {
    connection: Connection,
    chance: Chance,
    /// The highest ids.
    customers: i64,
    orders: i64,
}

/// Makes a shop database in WAL mode with that many customers and orders.
///
/// # Errors
/// `Unavailable` when the file cannot be written or has these tables already.
pub fn create_shop(path: &Path, customers: u32, orders: u32) -> Result<()> {
    let make = || -> rusqlite::Result<()> {
        let mut connection = open(path)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        let transaction = connection.transaction()?;
        transaction.execute_batch(SCHEMA)?;
        let mut chance = Chance(1);
        for id in 1..=i64::from(customers) {
            insert_customer(&transaction, id, &mut chance)?;
        }
        for _ in 0..orders {
            place_order(&transaction, chance.up_to(customers.into()), &mut chance)?;
        }
        transaction.execute(
            "UPDATE customers SET order_count = (SELECT count(*) FROM orders WHERE customer_id = customers.id)",
            [],
        )?;
        transaction.commit()
    };
    make().map_err(|error| unavailable(format!("cannot make the shop database {}", path.display()), error))
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "synchronous", "normal")?;
    Ok(connection)
}

impl Shop {
    /// Opens a shop; equal seeds do equal things.
    pub(super) fn open(path: &Path, seed: u64) -> rusqlite::Result<Self> {
        let connection = open(path)?;
        let highest = |table: &str| connection.query_row(&format!("SELECT max(id) FROM {table}"), [], |row| row.get(0));
        let (customers, orders) = (highest("customers")?, highest("orders")?);
        Ok(Self { connection, chance: Chance(seed), customers, orders })
    }

    /// One transaction over both tables; returns how many rows it changed.
    pub(super) fn trade(&mut self) -> rusqlite::Result<u64> {
        let Self { connection, chance, customers, orders } = self;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let changes = match chance.below(20) {
            0 => welcome(&transaction, customers, orders, chance)?,
            1..=9 => order(&transaction, *customers, orders, chance)?,
            10..=17 => progress(&transaction, *orders, chance)?,
            _ => cancel(&transaction, *orders, chance)?,
        };
        transaction.commit()?;
        Ok(changes)
    }
}

/// A new customer with a first order.
fn welcome(shop: &Transaction, customers: &mut i64, orders: &mut i64, chance: &mut Chance) -> rusqlite::Result<u64> {
    *customers += 1;
    insert_customer(shop, *customers, chance)?;
    *orders = place_order(shop, *customers, chance)?;
    Ok(2 + seen(shop, *customers, 1)?)
}

/// A customer orders one to three things.
fn order(shop: &Transaction, customers: i64, orders: &mut i64, chance: &mut Chance) -> rusqlite::Result<u64> {
    let customer = chance.up_to(customers);
    let things = chance.up_to(3);
    for _ in 0..things {
        *orders = place_order(shop, customer, chance)?;
    }
    Ok(things.unsigned_abs() + seen(shop, customer, things)?)
}

/// Up to four orders move on or get another price; their customers are told.
fn progress(shop: &Transaction, orders: i64, chance: &mut Chance) -> rusqlite::Result<u64> {
    let mut changes = 0;
    for _ in 0..chance.up_to(4) {
        let Some((id, customer)) = some_order(shop, orders, chance)? else { continue };
        let status = chance.of(&STATUSES);
        let discount = if chance.below(4) == 0 { 0.9 } else { 1.0 };
        let sql = "UPDATE orders SET status = ?2, amount = round(amount * ?3, 2) WHERE id = ?1";
        changes += shop.prepare_cached(sql)?.execute(params![id, status, discount])? as u64;
        changes += seen(shop, customer, 0)?;
    }
    Ok(changes)
}

/// An order is taken back.
fn cancel(shop: &Transaction, orders: i64, chance: &mut Chance) -> rusqlite::Result<u64> {
    let Some((id, customer)) = some_order(shop, orders, chance)? else { return Ok(0) };
    let gone = shop.prepare_cached("DELETE FROM orders WHERE id = ?1")?.execute([id])? as u64;
    Ok(gone + seen(shop, customer, -1)?)
}

fn some_order(shop: &Transaction, orders: i64, chance: &mut Chance) -> rusqlite::Result<Option<(i64, i64)>> {
    let from = chance.up_to(orders);
    shop.prepare_cached("SELECT id, customer_id FROM orders WHERE id >= ?1 ORDER BY id LIMIT 1")?
        .query_row([from], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

fn seen(shop: &Transaction, customer: i64, more_orders: i64) -> rusqlite::Result<u64> {
    let sql = format!("UPDATE customers SET order_count = order_count + ?2, last_seen = {NOW} WHERE id = ?1");
    Ok(shop.prepare_cached(&sql)?.execute(params![customer, more_orders])? as u64)
}

fn insert_customer(shop: &Transaction, id: i64, chance: &mut Chance) -> rusqlite::Result<()> {
    let (first, last) = (chance.of(&FIRST_NAMES), chance.of(&LAST_NAMES));
    let email = format!("{}.{}{id}@example.com", first.to_lowercase(), last.to_lowercase());
    let phone = format!("+49 30 {:04} {:04}", chance.below(10_000), chance.below(10_000));
    shop.prepare_cached("INSERT INTO customers (id, name, email, phone, city) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![id, format!("{first} {last}"), email, phone, chance.of(&CITIES)])?;
    Ok(())
}

/// Returns the order's id.
fn place_order(shop: &Transaction, customer: i64, chance: &mut Chance) -> rusqlite::Result<i64> {
    let sql = format!(
        "INSERT INTO orders (customer_id, product, quantity, amount, status, created_at) VALUES (?1, ?2, ?3, ?4, 'new', {NOW})"
    );
    let cents = 99 + chance.up_to(99_900);
    let quantity = chance.up_to(5);
    shop.prepare_cached(&sql)?.execute(params![customer, chance.of(&PRODUCTS), quantity, cents as f64 / 100.0])?;
    Ok(shop.last_insert_rowid())
}

/// Numbers by SplitMix64 (Steele, Lea, Flood 2014): plenty for a shop.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound` - 1.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// A number from 1 to `most`.
    fn up_to(&mut self, most: i64) -> i64 {
        1 + self.below(most.unsigned_abs()) as i64
    }

    fn of(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transaction_keeps_both_tables_in_agreement() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.db");
        create_shop(&path, 50, 500).unwrap();
        let mut shop = Shop::open(&path, 7).unwrap();
        let changes: u64 = (0..300).map(|_| shop.trade().unwrap()).sum();
        assert!(changes > 600, "{changes}");
        let wrong: i64 = Connection::open(&path)
            .unwrap()
            .query_row(
                "SELECT count(*) FROM customers WHERE order_count <> (SELECT count(*) FROM orders WHERE customer_id = customers.id)",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(wrong, 0);
    }
}
