//! The datasets `orders`, `customers` and `shop`.

use std::sync::Arc;

use aqueduct_model::{Error, Result};
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int32Array, Int64Array, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, TimeUnit};

use super::changes;
use super::people;
use super::plan::{Key, Table, World};
use super::random::Random;
use super::text::Text;
use super::words::Words;

const ORDERS_PER_CUSTOMER: u64 = 4;
/// Events of one customer and its orders in the dataset `shop`.
pub(super) const CYCLE: [u64; 2] = [1, ORDERS_PER_CUSTOMER];
/// 2024-01-01T00:00:00Z, when the first order is made.
const EPOCH_US: i64 = 1_704_067_200_000_000;
/// Mean time between two orders.
const ORDER_EVERY_US: i64 = 1_000_000;
const STATUS: [&str; 4] = ["new", "paid", "shipped", "delivered"];
/// 1950-01-01 and 2005-12-31 as days since 1970.
const BIRTHDAYS: (i32, u64) = (-7_305, 20_454);

const ORDER: u64 = 0x0DE5;
const ORDER_VERSION: u64 = 0x0DE6;
const CUSTOMER: u64 = 0xC057;
const CUSTOMER_VERSION: u64 = 0xC058;

/// The table `orders`.
pub(super) fn orders() -> Result<Table> {
    let fields = [
        ("id", DataType::Int64),
        ("customer_id", DataType::Int64),
        ("product", DataType::Utf8),
        ("quantity", DataType::Int32),
        ("amount", DataType::Decimal128(12, 2)),
        ("status", DataType::Utf8),
        ("created_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
    ];
    Table::keyed("orders", &fields, order_columns)
}

/// The table `customers`.
pub(super) fn customers() -> Result<Table> {
    let fields = [
        ("id", DataType::Int64),
        ("name", DataType::Utf8),
        ("email", DataType::Utf8),
        ("phone", DataType::Utf8),
        ("city", DataType::Utf8),
        ("birthday", DataType::Date32),
        ("vip", DataType::Boolean),
    ];
    Table::keyed("customers", &fields, customer_columns)
}

/// The customer of an order, one that exists when the order is made.
fn customer_of(world: &World, order: u64, random: &mut Random) -> u64 {
    let customers = order / ORDERS_PER_CUSTOMER + 1;
    if world.changing_customers { changes::surviving(world.seed, customers, random) } else { random.below(customers) }
}

fn order_columns(world: &World, keys: &[Key]) -> Result<Vec<ArrayRef>> {
    let words = Words::of(world.locale);
    let rows = keys.len();
    let mut customers = Vec::with_capacity(rows);
    let mut product = Text::with_capacity(rows, 16);
    let mut quantity = Vec::with_capacity(rows);
    let mut amount = Vec::with_capacity(rows);
    let mut status = Text::with_capacity(rows, 8);
    let mut created = Vec::with_capacity(rows);
    for key in keys {
        let mut fixed = Random::of(world.seed, ORDER, key.index);
        customers.push(customer_of(world, key.index, &mut fixed) as i64 + 1);
        product.value(fixed.pick(words.products));
        let price_cents = 99 + fixed.below(50_000) as i128;
        created.push(EPOCH_US + key.index as i64 * ORDER_EVERY_US + fixed.below(ORDER_EVERY_US as u64) as i64);
        let mut now = Random::of(world.seed ^ u64::from(key.version), ORDER_VERSION, key.index);
        let pieces = 1 + now.below(5);
        quantity.push(pieces as i32);
        amount.push(price_cents * i128::from(pieces));
        status.value(STATUS[(key.version as usize).min(STATUS.len() - 1)]);
    }
    let amount = Decimal128Array::from(amount)
        .with_precision_and_scale(12, 2)
        .map_err(|error| Error::bug("an amount does not fit its type").with_source(error))?;
    Ok(vec![
        ids(keys),
        Arc::new(Int64Array::from(customers)),
        product.finish()?,
        Arc::new(Int32Array::from(quantity)),
        Arc::new(amount),
        status.finish()?,
        Arc::new(TimestampMicrosecondArray::from(created).with_timezone("UTC")),
    ])
}

fn customer_columns(world: &World, keys: &[Key]) -> Result<Vec<ArrayRef>> {
    let words = Words::of(world.locale);
    let rows = keys.len();
    let mut name = Text::with_capacity(rows, 16);
    let mut email = Text::with_capacity(rows, 28);
    let mut phone = Text::with_capacity(rows, 14);
    let mut city = Text::with_capacity(rows, 12);
    let mut birthday = Vec::with_capacity(rows);
    let mut vip = Vec::with_capacity(rows);
    for key in keys {
        let mut fixed = Random::of(world.seed, CUSTOMER, key.index);
        let person = people::Name::pick(words, &mut fixed);
        person.write(world.locale, &mut name);
        person.write_email(key.index, &mut email);
        birthday.push(BIRTHDAYS.0 + fixed.below(BIRTHDAYS.1) as i32);
        // People move, change their number, and become good customers.
        let mut now = Random::of(world.seed ^ u64::from(key.version), CUSTOMER_VERSION, key.index);
        people::write_phone(world.locale, &mut now, &mut phone);
        city.value(now.pick(words.cities).name);
        vip.push(now.below(10) == 0 || key.version > 1);
    }
    Ok(vec![
        ids(keys),
        name.finish()?,
        email.finish()?,
        phone.finish()?,
        city.finish()?,
        Arc::new(Date32Array::from(birthday)),
        Arc::new(BooleanArray::from(vip)),
    ])
}

fn ids(keys: &[Key]) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(keys.iter().map(|key| key.index as i64 + 1)))
}
