//! The different values of a total, kept beside it: what cannot be taken back from a total is found here.

use aqueduct_model::{Error, Result};

use super::total::Total;
use crate::state::Store;

/// Keys of the values of a group begin with this.
const VALUE: u8 = b'V';

/// Whether least and greatest values can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    /// Every value is kept, with how often it is there.
    Kept,
    /// Rows only come: the least or greatest value so far is all that is needed.
    Forgotten,
}

/// Puts a value into the set of a total, or takes it out; true when the wanted one has to be looked for.
pub(super) fn keep(
    store: &mut Store,
    total: &mut Total,
    group: &[u8],
    n: usize,
    value: &[u8],
    sign: i64,
) -> Result<bool> {
    let mut name = values_of(group, n);
    name.extend_from_slice(value);
    let count = store.get(&name)?.and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_le_bytes);
    let now = count + sign;
    if now == 0 {
        store.remove(name)?
    } else {
        store.put(name, now.to_le_bytes().to_vec())?
    }
    match total {
        Total::Whole { count: distinct, .. } => {
            *distinct += i64::from(now != 0) - i64::from(count != 0);
            Ok(false)
        }
        Total::Extreme(wanted) if now > 0 => {
            if wanted.as_deref().is_none_or(|wanted| value < wanted) {
                *wanted = Some(value.to_vec());
            }
            Ok(false)
        }
        Total::Extreme(wanted) => Ok(wanted.as_deref() == Some(value)),
        Total::Float { .. } => Err(Error::bug("a sum keeps no values")),
    }
}

/// The first of the kept values.
pub(super) fn first(store: &Store, group: &[u8], n: usize) -> Result<Option<Vec<u8>>> {
    let prefix = values_of(group, n);
    let mut found = None;
    store.scan(&prefix, |key, _| {
        found = Some(key[prefix.len()..].to_vec());
        Ok(false)
    })?;
    Ok(found)
}

pub(super) fn values_of(group: &[u8], n: usize) -> Vec<u8> {
    let mut name = vec![VALUE];
    name.extend((n as u16).to_be_bytes());
    name.extend((group.len() as u32).to_be_bytes());
    name.extend_from_slice(group);
    name
}

/// The values of a total that are kept, in their order.
pub(super) fn all(store: &Store, group: &[u8], n: usize) -> Result<Vec<Vec<u8>>> {
    let prefix = values_of(group, n);
    let mut found = Vec::new();
    store.scan(&prefix, |key, _| {
        found.push(key[prefix.len()..].to_vec());
        Ok(true)
    })?;
    Ok(found)
}

/// Forgets the values of a total.
pub(super) fn forget(store: &mut Store, group: &[u8], n: usize) -> Result<()> {
    let prefix = values_of(group, n);
    for value in all(store, group, n)? {
        let mut name = prefix.clone();
        name.extend_from_slice(&value);
        store.remove(name)?;
    }
    Ok(())
}
