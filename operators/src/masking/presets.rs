//! Kinds of data with a usual way to hide them. What does not look like its kind is hidden whole.

use super::config::Preset;
use super::text::keep;

/// The digits of a Chinese mobile number without its country code.
const PHONE_DIGITS: usize = 11;

pub(super) fn apply(preset: Preset, text: &str) -> String {
    match preset {
        Preset::IdCardCn => match text.chars().count() {
            18 => keep(text, 6, 4, '*'),
            15 => keep(text, 6, 3, '*'),
            _ => keep(text, 0, 0, '*'),
        },
        Preset::PhoneCn => phone(text),
        Preset::Email => email(text),
        Preset::BankCard => card(text),
    }
}

/// Hides the digits for which `shown` is false, given their place counted from the last digit (0).
fn digits(text: &str, shown: impl Fn(usize) -> bool) -> String {
    let mut behind = text.chars().filter(char::is_ascii_digit).count();
    text.chars()
        .map(|c| {
            if !c.is_ascii_digit() {
                return if c.is_alphabetic() { '*' } else { c };
            }
            behind -= 1;
            if shown(behind) { c } else { '*' }
        })
        .collect()
}

fn phone(text: &str) -> String {
    let count = text.chars().filter(char::is_ascii_digit).count();
    digits(text, |behind| count >= PHONE_DIGITS && !(4..8).contains(&behind))
}

fn card(text: &str) -> String {
    let count = text.chars().filter(char::is_ascii_digit).count();
    digits(text, |behind| count >= 12 && behind < 4)
}

fn email(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((name, domain)) if name.chars().count() > 1 => {
            let first: String = name.chars().take(1).collect();
            format!("{first}***@{domain}")
        }
        Some((_, domain)) => format!("***@{domain}"),
        None => keep(text, 0, 0, '*'),
    }
}
