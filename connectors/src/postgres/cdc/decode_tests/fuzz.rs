//! Damaged messages: an error or rows, but never a panic.

use super::{Decoder, RECORDED, messages};
use crate::postgres::cdc::mark::Lsn;
use crate::postgres::fuzz::{Damage, in_worker, inputs};

/// Decoders are not made anew for every message: that takes longer than reading it.
const MESSAGES_PER_SEED: u64 = 50;

#[test]
fn damaged_messages_are_refused_or_read() {
    in_worker(module_path!(), "damaged_messages_are_refused_or_read", damage_messages);
}

fn damage_messages() {
    for (_, recorded) in RECORDED {
        let mut all: Vec<Vec<u8>> = messages(recorded, "plain").collect();
        all.extend(messages(recorded, "binary"));
        all.extend(messages(recorded, "streamed"));
        let descriptions: Vec<Vec<u8>> = messages(recorded, "plain").filter(|message| message[0] == b'R').collect();
        for seed in 0..inputs() / 2 / MESSAGES_PER_SEED {
            let mut damage = Damage::new(seed);
            let mut decoder = Decoder::default();
            for description in &descriptions {
                decoder.read(description).expect("it is as it was sent");
            }
            // Damaged messages follow each other: rows do not fit a damaged description that came before them.
            for _ in 0..MESSAGES_PER_SEED {
                decoder.in_stream = damage.below(8) == 0;
                let message = damage.one_of(&all).clone();
                let message = if damage.below(4) == 0 { message } else { damage.wound(&message) };
                // Bounded: rows are as long as their message, which is a few KiB.
                // Of a row that is refused as a whole nothing is looked at.
                let is_read = decoder.read(&message).is_ok();
                if let (true, Ok(Some(batch))) = (is_read, decoder.take()) {
                    assert!(batch.num_rows() <= 2 && batch.memory_bytes() < (1 << 20), "{}", batch.memory_bytes());
                }
            }
        }
    }
}

#[test]
fn damaged_places_in_the_log_are_refused_or_read() {
    for seed in 0..inputs() {
        let mut damage = Damage::new(seed);
        let texts = ["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"];
        let text = damage.one_of(&texts).as_bytes();
        let text = damage.wound(text);
        let Ok(lsn) = String::from_utf8_lossy(&text).parse::<Lsn>() else { continue };
        assert_eq!(lsn.to_string().parse::<Lsn>().unwrap(), lsn);
    }
}
