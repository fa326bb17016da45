//! The CSV file that both sides read, and the query that both run.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Uses every column, so that neither side can leave one out; keeps 7 rows of 12.
pub const QUERY: &str = "select id, customer_id, product, amount, created_at from orders \
                         where quantity >= 3 and status <> 'returned'";
/// The same types as [`FLOW`] gives the columns.
pub const COLUMNS: &str = "{ id: int64, customer_id: int64, product: string, quantity: int32, \
                           amount: \"decimal(12,2)\", status: string, created_at: \"timestamp(us, utc)\" }";
/// Rows of a row group, on both sides.
pub const ROW_GROUP_ROWS: usize = 1 << 20;

const PRODUCTS: [&str; 6] =
    ["walnut desk lamp", "steel kettle", "cotton towel", "oak shelf, tall", "paper block A4", "bicycle bell"];
const STATUSES: [&str; 4] = ["new", "paid", "shipped", "returned"];

/// Writes `rows` orders, the same ones every time.
pub fn write(path: &Path, rows: u64) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).expect("a CSV file"));
    let mut write = |text: std::fmt::Arguments<'_>| file.write_fmt(text).expect("room on the disk");
    write(format_args!("id,customer_id,product,quantity,amount,status,created_at\n"));
    for id in 0..rows {
        let bits = scatter(id);
        let product = PRODUCTS[(bits % 6) as usize];
        let (quantity, status) = ((bits >> 8) % 9 + 1, STATUSES[(bits >> 16) as usize % 4]);
        let (customer, cents) = ((bits >> 20) % 100_000, (bits >> 40) % 100_000);
        let (day, hour, minute, second) = (id / 86_400 % 28 + 1, id / 3_600 % 24, id / 60 % 60, id % 60);
        write(format_args!(
            "{id},{customer},\"{product}\",{quantity},{}.{:02},{status},2026-03-{day:02}T{hour:02}:{minute:02}:{second:02}Z\n",
            cents / 100,
            cents % 100
        ));
    }
    file.flush().expect("room on the disk");
}

/// SplitMix64: as good as random, and the same everywhere.
pub fn scatter(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
