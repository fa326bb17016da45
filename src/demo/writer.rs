//! `aqueduct demo-writer`: the shop's own process, which knows nothing of Aqueduct; and the demo's end of it.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use aqueduct_model::{Error, ErrorKind, Result};

use super::shop::{Shop, create_shop};
use crate::daemon::aqueduct;
use crate::daemon::unavailable;

/// How often the counts are printed and the stop file is looked for.
const REPORT_EVERY: Duration = Duration::from_millis(50);
/// The marker by which the demo tells the process to stop.
const STOP_FILE: &str = "stop";
/// What a shop begins with.
pub(super) const CUSTOMERS: u32 = 2_000;
pub(super) const ORDERS: u32 = 20_000;

/// How the shop's process works.
#[derive(Debug, Clone, clap::Args)]
pub struct WriterOptions {
    /// The shop database; made when it does not exist.
    pub path: PathBuf,
    /// Changes per second at most.
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: u32,
    /// Ends after the transaction under way once this file exists.
    #[arg(long, value_name = "FILE")]
    pub stop_file: Option<PathBuf>,
    /// Ends after this many seconds.
    #[arg(long)]
    pub seconds: Option<u64>,
    /// Equal seeds do equal things.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Writes to the shop until the stop file exists, the time is over, nobody reads the output any more, or a signal ends
/// the process; SQLite rolls a transaction back that a signal cut.
///
/// Prints a line `<transactions> <changes>` about every 50 ms and at the end: everything counted there is committed.
///
/// # Errors
/// `Unavailable` when the database cannot be written.
pub fn write(options: &WriterOptions) -> Result<()> {
    if !options.path.exists() {
        create_shop(&options.path, CUSTOMERS, ORDERS)?;
    }
    let failed = |error| unavailable(format!("cannot write to {}", options.path.display()), error);
    let mut shop = Shop::open(&options.path, options.seed).map_err(failed)?;
    let (mut transactions, mut changes) = (0_u64, 0_u64);
    let started = Instant::now();
    let mut reported = started;
    loop {
        changes += shop.trade().map_err(failed)?;
        transactions += 1;
        let due = Duration::from_secs_f64(changes as f64 / f64::from(options.rate));
        if let Some(early) = due.checked_sub(started.elapsed()) {
            thread::sleep(early);
        }
        if reported.elapsed() < REPORT_EVERY {
            continue;
        }
        reported = Instant::now();
        let over = options.seconds.is_some_and(|seconds| started.elapsed() >= Duration::from_secs(seconds));
        let told = options.stop_file.as_ref().is_some_and(|file| file.exists());
        if report(transactions, changes).is_err() || over || told {
            return Ok(());
        }
    }
}

fn report(transactions: u64, changes: u64) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{transactions} {changes}")?;
    out.flush()
}

/// The process at work on `shop.db` in a folder, and what it has said last. Ended when dropped.
pub(super) struct WriterProcess {
    child: Child,
    folder: PathBuf,
    said: Option<JoinHandle<(u64, u64)>>,
}

impl WriterProcess {
    pub(super) fn start(folder: &Path, rate: u32) -> Result<Self> {
        let mut child = aqueduct(folder)?
            .args(["demo-writer", "shop.db", "--stop-file", STOP_FILE, "--rate", &rate.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| unavailable("cannot start the shop's process", error))?;
        // Read along, so that its pipe never fills.
        let said = child.stdout.take().map(|out| {
            thread::spawn(move || {
                let lines = BufReader::new(out).lines().map_while(io::Result::ok);
                lines.filter_map(|line| counts(&line)).last().unwrap_or_default()
            })
        });
        Ok(Self { child, folder: folder.to_owned(), said })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it finish its transaction; returns the transactions and changes that it committed.
    pub(super) fn stop(mut self) -> Result<(u64, u64)> {
        let failed = |error| unavailable("cannot stop the shop's process", error);
        fs::write(self.folder.join(STOP_FILE), "").map_err(failed)?;
        let status = self.child.wait().map_err(failed)?;
        fs::remove_file(self.folder.join(STOP_FILE)).map_err(failed)?;
        if !status.success() {
            return Err(Error::new(ErrorKind::Unavailable, format!("the shop's process ended by itself: {status}")));
        }
        Ok(self.said.take().and_then(|said| said.join().ok()).unwrap_or_default())
    }
}

/// Reads a line that [`report`] wrote.
fn counts(line: &str) -> Option<(u64, u64)> {
    let (transactions, changes) = line.split_once(' ')?;
    Some((transactions.parse().ok()?, changes.parse().ok()?))
}

impl Drop for WriterProcess {
    fn drop(&mut self) {
        // Both fail only for a process that is gone, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
