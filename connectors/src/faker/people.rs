//! The dataset `people`: names, addresses and numbers that look right, pass their check digits, and belong to nobody.

use std::sync::Arc;

use aqueduct_model::Result;
use arrow::array::{ArrayRef, Date32Array, Int64Array};
use arrow::datatypes::DataType;
use chrono::{Datelike, NaiveDate};

use super::config::Locale;
use super::plan::{Key, Table, World};
use super::random::Random;
use super::text::Text;
use super::words::{Given, Words};

const PERSON: u64 = 0x9E07;
const PERSON_VERSION: u64 = 0x9E08;
/// 1950-01-01 as days since 1970, and the days up to 2005.
const BIRTHDAYS: (i32, u64) = (-7_305, 20_454);
/// 0001-01-01 to 1970-01-01 in days, as chrono counts.
const DAYS_TO_1970: i32 = 719_163;
/// GB 11643-1999: weights of the 17 digits before the check character, and the characters by remainder.
const ID_CARD_WEIGHTS: [u64; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const ID_CARD_CHECK: [&str; 11] = ["1", "0", "X", "9", "8", "7", "6", "5", "4", "3", "2"];
const MOBILE_PREFIXES: [u64; 8] = [134, 136, 138, 150, 158, 177, 186, 199];

/// The table `people`.
pub(super) fn people() -> Result<Table> {
    let fields = [
        ("id", DataType::Int64),
        ("name", DataType::Utf8),
        ("gender", DataType::Utf8),
        ("birthday", DataType::Date32),
        ("province", DataType::Utf8),
        ("city", DataType::Utf8),
        ("address", DataType::Utf8),
        ("id_card", DataType::Utf8),
        ("phone", DataType::Utf8),
        ("bank_card", DataType::Utf8),
        ("email", DataType::Utf8),
    ];
    Table::keyed("people", &fields, columns)
}

/// A person's name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    family: (&'static str, &'static str),
    given: Given,
}

impl Name {
    /// One of the names of a language.
    pub(super) fn pick(words: &Words, random: &mut Random) -> Self {
        Self { family: random.pick(words.families), given: random.pick(words.given) }
    }

    /// Writes the name in the order of the language.
    pub(super) fn write(&self, locale: Locale, to: &mut Text) {
        match locale {
            Locale::En => {
                to.push(self.given.name);
                to.push(" ");
                to.push(self.family.0);
            }
            Locale::ZhCn => {
                to.push(self.family.0);
                to.push(self.given.name);
            }
        }
        to.end();
    }

    /// Writes an address that no two rows share, at a domain that is reserved for examples.
    pub(super) fn write_email(&self, index: u64, to: &mut Text) {
        to.push(self.given.latin);
        to.push(".");
        to.push(self.family.1);
        to.push_number(index + 1);
        to.push("@example.com");
        to.end();
    }
}

/// Writes a phone number: a Chinese mobile number, or a US one of the range kept for fiction (555-01xx).
pub(super) fn write_phone(locale: Locale, random: &mut Random, to: &mut Text) {
    match locale {
        Locale::En => {
            to.push("+1-");
            to.push_digits(201 + random.below(700), 3);
            to.push("-555-01");
            to.push_digits(random.below(100), 2);
        }
        Locale::ZhCn => {
            to.push_digits(random.pick(&MOBILE_PREFIXES), 3);
            to.push_digits(random.below(100_000_000), 8);
        }
    }
    to.end();
}

/// Writes an 18 character resident ID number with a right check character, or a US number of the range never issued.
fn write_id_card(locale: Locale, area: u64, birthday: i32, given: Given, random: &mut Random, to: &mut Text) {
    if locale == Locale::En {
        to.push_digits(900 + random.below(100), 3);
        to.push("-");
        to.push_digits(1 + random.below(99), 2);
        to.push("-");
        to.push_digits(1 + random.below(9_999), 4);
        to.end();
        return;
    }
    let day = NaiveDate::from_num_days_from_ce_opt(birthday + DAYS_TO_1970).unwrap_or_default();
    let date = day.year() as u64 * 10_000 + u64::from(day.month()) * 100 + u64::from(day.day());
    let sequence = random.below(499) * 2 + u64::from(!given.female);
    let body = (area * 100_000_000 + date) * 1_000 + sequence;
    let mut rest = body;
    let mut sum = 0;
    for weight in ID_CARD_WEIGHTS.iter().rev() {
        sum += rest % 10 * weight;
        rest /= 10;
    }
    to.push_digits(body, 17);
    to.push(ID_CARD_CHECK[(sum % 11) as usize]);
    to.end();
}

/// Writes a card number with a right Luhn digit (ISO/IEC 7812-1).
fn write_bank_card(locale: Locale, random: &mut Random, to: &mut Text) {
    let (body, width) = match locale {
        Locale::En => (400_000_000_000_000 + random.below(10_000_000_000_000), 15),
        Locale::ZhCn => (622_202_000_000_000_000 + random.below(1_000_000_000_000), 18),
    };
    let (mut rest, mut sum, mut doubled) = (body, 0, true);
    while rest > 0 {
        let digit = rest % 10 * if doubled { 2 } else { 1 };
        sum += digit / 10 + digit % 10;
        doubled = !doubled;
        rest /= 10;
    }
    to.push_digits(body, width);
    to.push_digits((10 - sum % 10) % 10, 1);
    to.end();
}

fn columns(world: &World, keys: &[Key]) -> Result<Vec<ArrayRef>> {
    let words = Words::of(world.locale);
    let rows = keys.len();
    let mut texts: [Text; 9] = std::array::from_fn(|_| Text::with_capacity(rows, 20));
    let [name, gender, province, city, address, id_card, phone, bank_card, email] = &mut texts;
    let mut birthday = Vec::with_capacity(rows);
    for key in keys {
        let mut fixed = Random::of(world.seed, PERSON, key.index);
        let person = Name::pick(words, &mut fixed);
        let born_in = fixed.pick(words.cities);
        person.write(world.locale, name);
        gender.value(if person.given.female { words.genders.0 } else { words.genders.1 });
        let born = BIRTHDAYS.0 + fixed.below(BIRTHDAYS.1) as i32;
        birthday.push(born);
        write_id_card(world.locale, born_in.area, born, person.given, &mut fixed, id_card);
        person.write_email(key.index, email);
        let mut now = Random::of(world.seed ^ u64::from(key.version), PERSON_VERSION, key.index);
        let lives_in = now.pick(words.cities);
        province.value(lives_in.province);
        city.value(lives_in.name);
        let (street, house) = (now.pick(words.streets), 1 + now.below(999));
        match world.locale {
            Locale::En => {
                address.push_number(house);
                address.push(" ");
                address.push(street);
            }
            Locale::ZhCn => {
                address.push(street);
                address.push_number(house);
                address.push("号");
            }
        }
        address.end();
        write_phone(world.locale, &mut now, phone);
        write_bank_card(world.locale, &mut now, bank_card);
    }
    let ids = Int64Array::from_iter_values(keys.iter().map(|key| key.index as i64 + 1));
    let [name, gender, province, city, address, id_card, phone, bank_card, email] = texts;
    Ok(vec![
        Arc::new(ids),
        name.finish()?,
        gender.finish()?,
        Arc::new(Date32Array::from(birthday)),
        province.finish()?,
        city.finish()?,
        address.finish()?,
        id_card.finish()?,
        phone.finish()?,
        bank_card.finish()?,
        email.finish()?,
    ])
}
