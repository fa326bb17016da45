//! Lines of exactly 219 bytes.

use std::io::{BufWriter, Write};
use std::path::Path;

use crate::csv_data::scatter;

/// With the line break.
const LINE_BYTES: usize = 219;

/// Writes customers with an address, a phone number and a bill.
pub fn write(file: &Path, count: u64) {
    let mut out = BufWriter::new(std::fs::File::create(file).expect("a file"));
    for i in 0..count {
        let bits = scatter(i);
        let start = format!(
            "{{\"id\":{i},\"name\":\"Customer {:05}\",\"email\":\"c{}@mail.example\",\"phone\":\"+49-170-{:07}\",\"amount\":{}.{:02},\
             \"status\":\"{}\",\"created_at\":\"2024-{:02}-{:02}T10:{:02}:00Z\",\"note\":\"",
            bits % 100_000,
            bits % 1_000_003,
            (bits >> 20) % 10_000_000,
            (bits >> 30) % 1_000,
            (bits >> 40) % 100,
            ["open", "paid", "sent"][(bits % 3) as usize],
            bits % 12 + 1,
            bits % 28 + 1,
            bits % 60
        );
        let padding = LINE_BYTES - start.len() - "\"}\n".len();
        writeln!(out, "{start}{}\"}}", "n".repeat(padding)).expect("room on the disk");
    }
    out.into_inner().expect("room on the disk").sync_all().expect("room on the disk");
}
