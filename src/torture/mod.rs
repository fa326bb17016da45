//! `aqueduct torture`: breaks things while a user's flow runs into a scratch target, and shows what it survived.
//!
//! The flow is the user's own, with its own sources. Its targets are replaced by scratch ones, its state lies in a
//! folder of its own, and it has another name, so that neither a running flow nor its targets are touched. Servers are
//! reached through a proxy that breaks connections. At the end source and target are compared row by row, and the
//! receipts are audited.
//!
//! * [`scratch`]: what is changed in the flow, and the ways to its servers. [`fault`]: what can go wrong.
//! * [`session`]: one fault after the other. [`report`]: the table.

mod address;
mod fault;
mod report;
mod scratch;
mod session;

use std::path::PathBuf;

pub(crate) use fault::Fault;
pub(crate) use report::Report;

use aqueduct_model::Result;

/// What to break, and where.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The flow's file.
    pub(crate) flow: PathBuf,
    /// The folder of all flows' states; the scratch folder is made in it.
    pub(crate) state: PathBuf,
    /// The flow's parameters.
    pub(crate) params: Vec<(String, String)>,
    /// How often something is broken.
    pub(crate) faults: u32,
    /// Only these; empty: all that are possible.
    pub(crate) only: Vec<Fault>,
    /// Addresses of scratch targets on servers, by task.
    pub(crate) targets: Vec<(String, String)>,
    /// Statements to run at the source of a task in the midst.
    pub(crate) ddl: Vec<(String, String)>,
    /// What the random choices begin with.
    pub(crate) seed: u64,
}

/// Breaks things, and tells `show` a line whenever something happened. Blocks until the end.
///
/// # Errors
/// Those of the flow's file as text; `Config` for a target without a scratch address; `Unavailable` when the daemon
/// cannot be started.
pub(crate) fn torture(options: &Options, show: &mut dyn FnMut(&str)) -> std::result::Result<Report, Failure> {
    let scratch = scratch::Scratch::prepare(options)?;
    Ok(session::Session::new(&scratch, options, show).run()?)
}

/// Why nothing could be tortured.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Mistakes in the flow file.
    Flow(aqueduct_engine::definition::Diagnostics),
    /// Anything else.
    Error(aqueduct_model::Error),
}

impl From<aqueduct_model::Error> for Failure {
    fn from(error: aqueduct_model::Error) -> Self {
        Self::Error(error)
    }
}

/// A seeded random number below `bound`: splitmix64.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

/// The least of what a plan must have for a round to mean something.
fn require<T>(value: Option<T>, what: &str) -> Result<T> {
    value.ok_or_else(|| aqueduct_model::Error::bug(format!("torture lost {what}")))
}
