//! The Nexmark auction (Tucker, Tufte, Papadimos, Maier: NEXMark, a Benchmark for Queries over Data Streams), with the
//! columns and proportions of the Apache Beam and Flink generators: of 50 events 1 is a person, 3 are auctions and 46
//! are bids. References never point forward.

use std::sync::Arc;

use aqueduct_model::Result;
use arrow::array::{ArrayRef, Int64Array, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, TimeUnit};

use super::config::Locale;
use super::plan::{Key, Table, World};
use super::random::Random;
use super::text::Text;
use super::words::Words;

const PERSONS: u64 = 1;
const AUCTIONS: u64 = 3;
const BIDS: u64 = 46;
/// Of fifty events, how many belong to `person`, `auction` and `bid`, in this order.
pub(super) const CYCLE: [u64; 3] = [PERSONS, AUCTIONS, BIDS];
const CYCLE_EVENTS: u64 = PERSONS + AUCTIONS + BIDS;
const FIRST_ID: u64 = 1_000;
const FIRST_CATEGORY: u64 = 10;
const CATEGORIES: u64 = 5;
/// 2024-01-01T00:00:00Z.
const EPOCH_US: i64 = 1_704_067_200_000_000;
/// 10,000 events per second of event time, as in the usual generator.
const EVENT_EVERY_US: i64 = 100;
/// Bids and sellers look this far back.
const ACTIVE_PERSONS: u64 = 1_000;
const IN_FLIGHT_AUCTIONS: u64 = 100;
/// Every hundredth auction or person is a hot one: half of all bids, three quarters of all bidders.
const HOT_EVERY: u64 = 100;
const CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
const OTHER_CHANNELS: u64 = 10_000;
const FILLER: &str = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore \
et dolore magna aliqua ut enim ad minim veniam quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo \
consequat duis aute irure dolor in reprehenderit in voluptate velit esse cillum dolore eu fugiat nulla pariatur";

fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The tables `person`, `auction` and `bid`.
pub(super) fn tables() -> Result<Vec<Table>> {
    let person = [
        ("id", DataType::Int64),
        ("name", DataType::Utf8),
        ("email_address", DataType::Utf8),
        ("credit_card", DataType::Utf8),
        ("city", DataType::Utf8),
        ("state", DataType::Utf8),
        ("date_time", time()),
        ("extra", DataType::Utf8),
    ];
    let auction = [
        ("id", DataType::Int64),
        ("item_name", DataType::Utf8),
        ("description", DataType::Utf8),
        ("initial_bid", DataType::Int64),
        ("reserve", DataType::Int64),
        ("date_time", time()),
        ("expires", time()),
        ("seller", DataType::Int64),
        ("category", DataType::Int64),
        ("extra", DataType::Utf8),
    ];
    let bid = [
        ("auction", DataType::Int64),
        ("bidder", DataType::Int64),
        ("price", DataType::Int64),
        ("channel", DataType::Utf8),
        ("url", DataType::Utf8),
        ("date_time", time()),
        ("extra", DataType::Utf8),
    ];
    Ok(vec![
        Table::keyed("person", &person, persons)?,
        Table::keyed("auction", &auction, auctions)?,
        Table::new("bid", &bid, &[], bids)?,
    ])
}

/// How many persons there are when an event happens, itself included. At least 1.
fn persons_at(event: u64) -> u64 {
    event / CYCLE_EVENTS + 1
}

/// How many auctions there are when an event happens, itself included. At least 1 for auctions and bids.
fn auctions_at(event: u64) -> u64 {
    let (cycle, at) = (event / CYCLE_EVENTS, event % CYCLE_EVENTS);
    cycle * AUCTIONS + at.saturating_sub(PERSONS - 1).min(AUCTIONS)
}

/// One of the last `window` of `count`, from 0.
fn recent(count: u64, window: u64, random: &mut Random) -> u64 {
    let window = window.min(count);
    count - window + random.below(window)
}

/// Between 100 and 10 million, small ones being more frequent, as in the usual generator.
fn price(random: &mut Random) -> i64 {
    let magnitude = [100, 1_000, 10_000, 100_000, 1_000_000][random.below(5) as usize];
    (magnitude + random.below(magnitude * 9)) as i64
}

fn filler(random: &mut Random, most: u64) -> &'static str {
    let length = random.below(most) as usize;
    let from = random.below((FILLER.len() - length) as u64) as usize;
    // The filler is ASCII, so every index is the start of a character.
    &FILLER[from..from + length]
}

fn times(keys: &[Key]) -> ArrayRef {
    let times = keys.iter().map(|key| EPOCH_US + key.index as i64 * EVENT_EVERY_US);
    Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
}

fn persons(world: &World, keys: &[Key]) -> Result<Vec<ArrayRef>> {
    let words = Words::of(Locale::En);
    let mut texts: [Text; 6] = std::array::from_fn(|_| Text::with_capacity(keys.len(), 24));
    let [name, email, card, city, state, extra] = &mut texts;
    let mut ids = Vec::with_capacity(keys.len());
    for key in keys {
        let mut random = Random::of(world.seed, 0x9E1, key.index);
        ids.push((FIRST_ID + persons_at(key.index) - 1) as i64);
        let (given, family) = (random.pick(words.given), random.pick(words.families));
        name.push(given.name);
        name.push(" ");
        name.value(family.0);
        email.push(given.latin);
        email.push("@");
        email.push(family.1);
        email.value(".example.com");
        for group in 0..4 {
            if group > 0 {
                card.push(" ");
            }
            card.push_digits(random.below(10_000), 4);
        }
        card.end();
        let home = random.pick(words.cities);
        city.value(home.name);
        state.value(home.province);
        extra.value(filler(&mut random, 200));
    }
    let [name, email, card, city, state, extra] = texts;
    Ok(vec![
        Arc::new(Int64Array::from(ids)),
        name.finish()?,
        email.finish()?,
        card.finish()?,
        city.finish()?,
        state.finish()?,
        times(keys),
        extra.finish()?,
    ])
}

fn auctions(world: &World, keys: &[Key]) -> Result<Vec<ArrayRef>> {
    let words = Words::of(world.locale);
    let rows = keys.len();
    let mut texts: [Text; 3] = std::array::from_fn(|_| Text::with_capacity(rows, 60));
    let [item, description, extra] = &mut texts;
    let mut numbers: [Vec<i64>; 6] = std::array::from_fn(|_| Vec::with_capacity(rows));
    let [ids, initial, reserve, expires, seller, category] = &mut numbers;
    for key in keys {
        let mut random = Random::of(world.seed, 0xA0C, key.index);
        ids.push((FIRST_ID + auctions_at(key.index) - 1) as i64);
        item.value(random.pick(words.products));
        description.value(filler(&mut random, 100));
        let first_price = price(&mut random);
        initial.push(first_price);
        reserve.push(first_price + price(&mut random));
        let seconds = 1 + random.below(20);
        expires.push(EPOCH_US + key.index as i64 * EVENT_EVERY_US + seconds as i64 * 1_000_000);
        seller.push((FIRST_ID + recent(persons_at(key.index), ACTIVE_PERSONS, &mut random)) as i64);
        category.push((FIRST_CATEGORY + random.below(CATEGORIES)) as i64);
        extra.value(filler(&mut random, 200));
    }
    let [item, description, extra] = texts;
    let [ids, initial, reserve, expires, seller, category] = numbers;
    Ok(vec![
        Arc::new(Int64Array::from(ids)),
        item.finish()?,
        description.finish()?,
        Arc::new(Int64Array::from(initial)),
        Arc::new(Int64Array::from(reserve)),
        times(keys),
        Arc::new(TimestampMicrosecondArray::from(expires).with_timezone("UTC")),
        Arc::new(Int64Array::from(seller)),
        Arc::new(Int64Array::from(category)),
        extra.finish()?,
    ])
}

fn bids(world: &World, keys: &[Key]) -> Result<Vec<ArrayRef>> {
    let rows = keys.len();
    let mut channel = Text::with_capacity(rows, 10);
    let mut url = Text::with_capacity(rows, 48);
    let mut extra = Text::with_capacity(rows, 40);
    let mut numbers: [Vec<i64>; 3] = std::array::from_fn(|_| Vec::with_capacity(rows));
    let [auction, bidder, prices] = &mut numbers;
    for key in keys {
        let mut random = Random::of(world.seed, 0xB1D, key.index);
        let (auctions, persons) = (auctions_at(key.index), persons_at(key.index));
        let lots = random.bits();
        let lot = if lots & 1 == 0 {
            (auctions - 1) / HOT_EVERY * HOT_EVERY
        } else {
            recent(auctions, IN_FLIGHT_AUCTIONS, &mut random)
        };
        let by = if lots & 6 == 0 {
            recent(persons, ACTIVE_PERSONS, &mut random)
        } else {
            (persons - 1) / HOT_EVERY * HOT_EVERY
        };
        auction.push((FIRST_ID + lot) as i64);
        bidder.push((FIRST_ID + by) as i64);
        prices.push(price(&mut random));
        if lots & 8 == 0 {
            channel.value(CHANNELS[(lots >> 4 & 3) as usize]);
        } else {
            channel.push("channel-");
            channel.push_number((lots >> 16) % OTHER_CHANNELS);
            channel.end();
        }
        url.push("https://www.nexmark.com/");
        url.push_digits((lots >> 32) % 1_000_000, 6);
        url.value("/item.htm?query=1");
        extra.value(filler(&mut random, 80));
    }
    let [auction, bidder, prices] = numbers;
    Ok(vec![
        Arc::new(Int64Array::from(auction)),
        Arc::new(Int64Array::from(bidder)),
        Arc::new(Int64Array::from(prices)),
        channel.finish()?,
        url.finish()?,
        times(keys),
        extra.finish()?,
    ])
}
