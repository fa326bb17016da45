//! Everything of one logged epoch, and its bytes.
//!
//! ```text
//! payload = u32 LE length of the head · head (JSON) · the states, one after the other, in the order of their tasks
//! head    = epoch, token, positions, ended (where there are some), prepared, finished, reset, state_bytes {task: length}
//! ```
//! The head is JSON so that a person can read a journal file with `strings`; states are raw, so that large ones cost
//! no more than a copy.

use std::collections::{BTreeMap, BTreeSet};

use aqueduct_model::{Epoch, Error, ErrorKind, Positions, PreparedCommit, Result, State, Token};
use serde::{Deserialize, Serialize};

use crate::frame::{self, Content, Unreadable};

/// The size of a record, in bytes, above which it is refused. A record is written whole with every epoch; state that
/// comes near this belongs into files beside the store.
pub const RECORD_BYTES_MAX: usize = 256 << 20;

/// Everything of one logged epoch: where its sources go on, what its operators hold, what its sinks have to commit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// The epoch; rises from record to record.
    pub epoch: Epoch,
    /// The token of the start that logged it.
    pub token: Token,
    /// For each source, by task id, what it reads next.
    pub positions: Positions,
    /// Sources that had come to their end, by task id: what follows begins with telling those behind them.
    pub ended: BTreeSet<String>,
    /// For each operator with state, by task id, its state at the end of the epoch.
    pub states: BTreeMap<String, State>,
    /// For each staged sink, by task id, how to commit the epoch.
    pub prepared: BTreeMap<String, PreparedCommit>,
    /// Whether the flow had read everything there is: nothing is left to do after the commits.
    pub finished: bool,
    /// Whether a person asked to begin anew; positions and states are then empty.
    pub reset: bool,
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Head {
    epoch: Epoch,
    token: Token,
    positions: Positions,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    ended: BTreeSet<String>,
    prepared: BTreeMap<String, PreparedCommit>,
    finished: bool,
    reset: bool,
    state_bytes: BTreeMap<String, u64>,
}

impl Record {
    /// The record as a frame.
    ///
    /// # Errors
    /// `Bug` when a position or a prepared commit is JSON that does not read back equal (a float, or nested deeper
    /// than 127 levels): better refused than resumed at another place. `State` above [`RECORD_BYTES_MAX`].
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let head = Head {
            epoch: self.epoch,
            token: self.token,
            positions: self.positions.clone(),
            ended: self.ended.clone(),
            prepared: self.prepared.clone(),
            finished: self.finished,
            reset: self.reset,
            state_bytes: self.states.iter().map(|(task, state)| (task.clone(), state.0.len() as u64)).collect(),
        };
        let unfit = || Error::bug("a position or a prepared commit does not survive being written as JSON");
        let json = serde_json::to_vec(&head).map_err(|error| unfit().with_source(error))?;
        let read_back: Head = serde_json::from_slice(&json).map_err(|error| unfit().with_source(error))?;
        if read_back != head {
            return Err(unfit());
        }
        let state_bytes: usize = self.states.values().map(|state| state.0.len()).sum();
        let bytes = 4 + json.len() + state_bytes;
        if bytes > RECORD_BYTES_MAX {
            let text =
                format!("the checkpoint of epoch {} has {bytes} bytes, more than {RECORD_BYTES_MAX}", self.epoch);
            return Err(
                Error::new(ErrorKind::State, text).with_hint("let operators keep less: fewer keys, shorter windows")
            );
        }
        let mut payload = Vec::with_capacity(bytes);
        payload.extend_from_slice(&(json.len() as u32).to_le_bytes());
        payload.extend_from_slice(&json);
        for state in self.states.values() {
            payload.extend_from_slice(&state.0);
        }
        Ok(frame::encode(Content::Record, &payload))
    }

    /// The record of a frame.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let payload = frame::decode(Content::Record, bytes)?;
        let short = || Unreadable::damaged("shorter than its parts");
        let (length, rest) = payload.split_first_chunk::<4>().ok_or_else(short)?;
        let (head, mut rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(short)?;
        // A JSON error may quote what it read; a category says enough and shows no positions.
        let head: Head = serde_json::from_slice(head)
            .map_err(|error| Unreadable::damaged(format!("head is not valid ({:?})", error.classify())))?;
        let mut states = BTreeMap::new();
        for (task, length) in head.state_bytes {
            let length = usize::try_from(length).map_err(|_| short())?;
            let (state, next) = rest.split_at_checked(length).ok_or_else(short)?;
            states.insert(task, State(state.to_vec()));
            rest = next;
        }
        if !rest.is_empty() {
            return Err(Unreadable::damaged("longer than its parts"));
        }
        let Head { epoch, token, positions, ended, prepared, finished, reset, .. } = head;
        Ok(Self { epoch, token, positions, ended, states, prepared, finished, reset })
    }
}

/// The token as a frame.
pub(crate) fn encode_token(token: Token) -> Vec<u8> {
    frame::encode(Content::Token, &token.0.to_le_bytes())
}

/// The token of a frame.
pub(crate) fn decode_token(bytes: &[u8]) -> Result<Token, Unreadable> {
    let payload = frame::decode(Content::Token, bytes)?;
    let number = payload.try_into().map_err(|_| Unreadable::damaged("a token has 8 bytes"))?;
    Ok(Token(u64::from_le_bytes(number)))
}

#[cfg(test)]
mod tests {
    use aqueduct_model::Position;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect()))
            ]
        })
    }

    fn record() -> impl Strategy<Value = Record> {
        let positions = prop::collection::btree_map(
            any::<String>(),
            json_value().prop_map(|offset| Position::single("part", offset)),
            0..4,
        );
        let states = prop::collection::btree_map(any::<String>(), any::<Vec<u8>>().prop_map(State), 0..4);
        let prepared = prop::collection::btree_map(any::<String>(), json_value().prop_map(PreparedCommit), 0..4);
        let ended = prop::collection::btree_set(any::<String>(), 0..4);
        (any::<u64>(), any::<u64>(), positions, ended, states, prepared, any::<bool>(), any::<bool>()).prop_map(
            |(epoch, token, positions, ended, states, prepared, finished, reset)| Record {
                epoch: Epoch(epoch),
                token: Token(token),
                positions,
                ended,
                states,
                prepared,
                finished,
                reset,
            },
        )
    }

    proptest! {
        #[test]
        fn a_record_reads_back_equal(record in record()) {
            let frame = record.encode().expect("encodes");
            prop_assert_eq!(Record::decode(&frame).expect("intact"), record);
        }

        #[test]
        fn an_intact_frame_around_noise_is_damage(noise: Vec<u8>) {
            let frame = frame::encode(Content::Record, &noise);
            prop_assert!(matches!(Record::decode(&frame), Err(Unreadable::Damaged(_))));
        }

        #[test]
        fn a_token_reads_back_equal(token: u64) {
            prop_assert_eq!(decode_token(&encode_token(Token(token))).expect("intact"), Token(token));
        }
    }

    #[test]
    fn a_position_that_would_read_back_otherwise_is_refused() {
        let mut nested = json!(1);
        for _ in 0..200 {
            nested = json!([nested]);
        }
        let record = Record { positions: [("s".to_owned(), Position::single("", nested))].into(), ..Record::default() };
        assert_eq!(record.encode().expect_err("too deep").kind(), ErrorKind::Bug);
    }
}
