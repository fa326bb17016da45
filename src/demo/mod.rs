//! `aqueduct demo`: the product in under a minute, without a server.
//!
//! A shop database is written by another process, a flow keeps a DuckDB warehouse and Parquet files in step with it,
//! the daemon is killed twice by SIGKILL in the middle of its work, and at the end source and targets are compared row
//! by row. Everything is real: the same binary, the same commands, nothing mocked.
//!
//! * [`shop`]: the database and what happens in it. [`writer`]: the process that makes it happen.
//! * [`story`]: the phases. [`screen`]: how they look. [`language`]: what they say.

mod language;
mod meter;
mod screen;
mod shop;
mod story;
mod warehouse;
mod writer;

use std::path::PathBuf;

use aqueduct_model::Result;

pub use language::Language;
pub use shop::create_shop;
pub use writer::{WriterOptions, write};

/// How to show the product.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoOptions {
    /// The folder to work in; what an earlier demo left there is removed first.
    #[arg(long, default_value = ".demo")]
    pub folder: PathBuf,
    /// The language of what is printed; by default that of the environment.
    #[arg(long, value_enum)]
    pub lang: Option<Language>,
    /// Changes per second that the shop makes.
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: u32,
    /// Times that the daemon is killed.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub kills: u32,
}

/// How a demo ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Source and targets hold the same rows.
    InStep,
    /// They do not, and what was printed says where.
    Differs,
}

/// Shows the product; prints to the standard output. Blocks for about half a minute.
///
/// # Errors
/// `Unavailable` when a child process cannot be started, does not answer or dies by itself; the error holds the end of
/// the daemon's log.
pub fn run(options: &DemoOptions) -> Result<Outcome> {
    let language = options.lang.unwrap_or_else(Language::of_environment);
    story::Story::prepare(options, language)?.tell()
}
