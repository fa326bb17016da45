//! `name=value name='a value'`, as libpq reads it.

use aqueduct_model::Result;

use super::{Parts, not_an_address};

/// Reads the keyword notation.
pub(super) fn parse(text: &str) -> Result<Parts> {
    let mut parts = Parts::default();
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        let mut name = String::new();
        while let Some(c) = rest.next_if(|c| *c != '=' && !c.is_whitespace()) {
            name.push(c);
        }
        if name.is_empty() && rest.peek().is_none() {
            return Ok(parts);
        }
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        if rest.next() != Some('=') || name.is_empty() {
            return Err(not_an_address("a keyword is not followed by = and its value"));
        }
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        let value = value(&mut rest)?;
        parts.set(&name, value)?;
    }
}

/// A value, bare up to the next space or in single quotes; `\` takes the next character as it is.
fn value(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String> {
    let quoted = rest.next_if_eq(&'\'').is_some();
    let mut value = String::new();
    loop {
        match rest.next() {
            Some('\\') => value.extend(rest.next()),
            Some('\'') if quoted => return Ok(value),
            Some(c) if !quoted && c.is_whitespace() => return Ok(value),
            Some(c) => value.push(c),
            None if quoted => return Err(not_an_address("a quote is not closed")),
            None => return Ok(value),
        }
    }
}
