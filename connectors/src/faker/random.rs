//! Random numbers that can be asked for in any order.

/// A stream of random numbers that belongs to one row: SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom
/// Number Generators, OOPSLA 2014), started at a state that depends on the seed, the table and the row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Random(u64);

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Random {
    /// The numbers of one row. `salt` tells apart the columns or tables that draw independently.
    pub(super) fn of(seed: u64, salt: u64, row: u64) -> Self {
        Self(mix(seed ^ salt.wrapping_mul(0xD6E8_FEB8_6659_FD93)).wrapping_add(mix(row.wrapping_add(GOLDEN))))
    }

    /// The next 64 random bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number below `bound`, which is at least 1 and far below 2^64 (so that the bias does not matter).
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// One of the values.
    pub(super) fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
