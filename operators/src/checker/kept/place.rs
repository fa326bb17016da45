//! What became of a row, as bytes of a state: `0`, and a byte for each rule `unique` that it broke or not; or `1`, and for
//! each such rule the length of its key and the key, with `0xFFFFFFFF` for the length where a value is NULL.

use aqueduct_model::{Error, ErrorKind, Result};

/// The length of a key that there is not.
const NO_KEY: u32 = u32::MAX;

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::checker) enum Place {
    /// It was let through, and has these keys: one for each rule `unique`, none where a value is NULL.
    Passed(Vec<Option<Vec<u8>>>),
    /// It was refused; which of the rules `unique` it broke.
    Refused(Vec<bool>),
}

impl Place {
    pub(super) fn write(&self) -> Vec<u8> {
        match self {
            Self::Refused(broken) => std::iter::once(0).chain(broken.iter().map(|broken| u8::from(*broken))).collect(),
            Self::Passed(keys) => {
                let mut bytes = vec![1];
                for key in keys {
                    bytes.extend(key.as_ref().map_or(NO_KEY, |key| key.len() as u32).to_le_bytes());
                    bytes.extend(key.iter().flatten());
                }
                bytes
            }
        }
    }

    /// # Errors
    /// `State` for other bytes than [`Place::write`] makes.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        match bytes.split_first() {
            Some((0, broken)) => Ok(Self::Refused(broken.iter().map(|broken| *broken != 0).collect())),
            Some((1, mut rest)) => {
                let mut keys = Vec::new();
                while !rest.is_empty() {
                    let (length, behind) = rest.split_at_checked(4).ok_or_else(damaged)?;
                    let length = length.try_into().map(u32::from_le_bytes).map_err(|_| damaged())?;
                    let (key, behind) = match length {
                        NO_KEY => (None, behind),
                        length => {
                            let (key, behind) = behind.split_at_checked(length as usize).ok_or_else(damaged)?;
                            (Some(key.to_vec()), behind)
                        }
                    };
                    keys.push(key);
                    rest = behind;
                }
                Ok(Self::Passed(keys))
            }
            _ => Err(damaged()),
        }
    }
}

/// What is kept cannot be read.
pub(super) fn damaged() -> Error {
    Error::new(ErrorKind::State, "what rules remember of rows is damaged, or of another version")
        .with_hint("restore the checkpoint folder, or start over with `aqueduct checkpoint reset`")
}
