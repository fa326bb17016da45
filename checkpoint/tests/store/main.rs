//! What the checkpoint store promises, through its public door, for each database behind it.

mod damage;
mod full_disk;
mod golden;
mod guards;
mod kill;
mod support;

#[cfg(feature = "failpoints")]
mod faults;
