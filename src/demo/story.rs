//! The phases of the demo.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aqueduct_model::{Error, ErrorKind, Result};

use super::language::{Figures, Language};
use super::meter::Meter;
use super::screen::Screen;
use super::shop::{Chance, create_shop};
use super::warehouse::{parquet_files, sample};
use super::writer::{CUSTOMERS, ORDERS, WriterProcess};
use super::{DemoOptions, Outcome};
use crate::daemon::{Daemon, Life, Reading, aqueduct, unavailable};

/// The flow's name.
pub(super) const FLOW: &str = "shop_to_warehouse";
/// Its file, in the demo's folder.
const FLOW_FILE: &str = "flow.yaml";
/// The daemon's log, there too.
const LOG_FILE: &str = "daemon.log";
/// The flow as the example has it: the demo runs what the README shows.
const FLOW_TEXT: &str = include_str!("../../examples/shop_to_warehouse/flow.yaml");
/// How long the daemon works before it is killed: at least, and at random up to this much more.
const LIFE_MIN: Duration = Duration::from_millis(2_500);
const LIFE_RANDOM_MS: u64 = 3_500;
/// How long the daemon works after the last kill.
const LAST_LIFE: Duration = Duration::from_secs(3);
/// A flow in which nothing moves for this long has caught up.
const QUIET: Duration = Duration::from_millis(700);
/// How often the moving line is renewed.
const LOOK_EVERY: Duration = Duration::from_millis(80);

/// A demo under way.
pub(super) struct Story {
    folder: PathBuf,
    rate: u32,
    kills: u32,
    language: Language,
    screen: Screen,
    chance: Chance,
    meter: Meter,
    figures: Figures,
    /// Rows read in the present life of the daemon.
    rows_now: u64,
}

impl Story {
    /// Makes an empty folder to work in. Only a folder that an earlier demo made is emptied.
    pub(super) fn prepare(options: &DemoOptions, language: Language) -> Result<Self> {
        let folder = &options.folder;
        let failed = |error| unavailable(format!("cannot prepare the folder {}", folder.display()), error);
        if folder.exists() {
            let ours = folder.join(FLOW_FILE).exists() && folder.join("shop.db").exists();
            let empty = fs::read_dir(folder).map_err(failed)?.next().is_none();
            if !ours && !empty {
                return Err(Error::new(ErrorKind::Unavailable, format!("{} holds other files", folder.display()))
                    .with_hint("name an empty or new folder by --folder"));
            }
            fs::remove_dir_all(folder).map_err(failed)?;
        }
        fs::create_dir_all(folder).map_err(failed)?;
        let folder = folder.canonicalize().map_err(failed)?;
        fs::write(folder.join(FLOW_FILE), FLOW_TEXT).map_err(failed)?;
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64);
        Ok(Self {
            folder,
            rate: options.rate,
            kills: options.kills,
            language,
            screen: Screen::new(),
            chance: Chance(seed),
            meter: Meter::default(),
            figures: Figures { kills: options.kills, ..Figures::default() },
            rows_now: 0,
        })
    }

    /// Tells the story from the first row to the verdict.
    pub(super) fn tell(mut self) -> Result<Outcome> {
        self.screen.title(self.language.title());
        let writer = self.open_shop()?;
        let mut daemon = self.start_flow()?;
        if self.kills > 0 {
            self.screen.phase(&self.language.kill_phase(self.kills));
        }
        for _ in 0..self.kills {
            daemon = self.kill_and_restart(daemon)?;
        }
        self.watch(&mut daemon, LAST_LIFE)?;
        self.screen.phase(self.language.drain_phase());
        self.drain(writer, daemon)?;
        let (outcome, totals) = self.verify()?;
        self.show_targets()?;
        self.conclude(outcome, &totals);
        Ok(outcome)
    }

    fn open_shop(&mut self) -> Result<WriterProcess> {
        self.screen.phase(self.language.shop_phase());
        let shop = self.folder.join("shop.db");
        create_shop(&shop, CUSTOMERS, ORDERS)?;
        self.screen.done(&self.language.shop_made(CUSTOMERS, ORDERS));
        let writer = WriterProcess::start(&self.folder, self.rate)?;
        self.screen.done(&self.language.writer_started(writer.pid(), self.rate));
        Ok(writer)
    }

    fn start_flow(&mut self) -> Result<Daemon> {
        self.screen.phase(self.language.flow_phase());
        self.screen.block(DRAWING);
        let mut daemon = self.start_daemon()?;
        daemon.wait_until("the flow is not running", |_| (), |reading| reading.running)?;
        self.screen.done(&self.language.ready(daemon.age()));
        Ok(daemon)
    }

    fn start_daemon(&self) -> Result<Daemon> {
        let mut command = aqueduct(&self.folder)?;
        command.args(["run", FLOW_FILE, "--progress", "none"]);
        Daemon::start(command, self.folder.join(LOG_FILE), self.folder.join(".aqueduct").join(FLOW))
    }

    /// Shows the flow at work for a while.
    fn watch(&mut self, daemon: &mut Daemon, how_long: Duration) -> Result<Reading> {
        let until = Instant::now() + how_long;
        let mut last = Reading::default();
        while Instant::now() < until {
            if let Some(reading) = daemon.look()? {
                self.show(&reading);
                last = reading;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(last)
    }

    fn show(&mut self, reading: &Reading) {
        let rate = self.meter.rate(Instant::now(), reading.rows);
        self.rows_now = reading.rows;
        self.screen.live(&self.language.live(reading, rate));
    }

    fn kill_and_restart(&mut self, mut daemon: Daemon) -> Result<Daemon> {
        let how_long = LIFE_MIN + Duration::from_millis(self.chance.below(LIFE_RANDOM_MS));
        let last = self.watch(&mut daemon, how_long)?;
        let rate = self.meter.rate(Instant::now(), last.rows);
        self.screen.done(&self.language.live(&last, rate));
        let (pid, age) = (daemon.pid(), daemon.age());
        let life = daemon.kill()?;
        self.bury(life);
        self.screen.struck(&self.language.killed(pid, age, last.epoch));
        let mut daemon = self.start_daemon()?;
        daemon.wait_until("the flow is not running again", |_| (), |reading| reading.running)?;
        let ready = daemon.age();
        let moved = |reading: &Reading| reading.epochs > 0 && reading.written > 0;
        daemon.wait_until("no new row was committed", |_| (), moved)?;
        let first_rows = daemon.age();
        self.figures.recovery_max = self.figures.recovery_max.max(first_rows);
        self.screen.done(&self.language.restarted(ready, first_rows));
        Ok(daemon)
    }

    /// Adds up a life that is over.
    fn bury(&mut self, life: Life) {
        self.figures.rows += std::mem::take(&mut self.rows_now);
        self.figures.seconds += life.lasted.as_secs_f64();
        self.figures.cpu_seconds += life.cpu_seconds;
        self.figures.peak_bytes = self.figures.peak_bytes.max(life.peak_bytes);
        self.meter.restart();
    }

    /// Stops the shop, waits until nothing moves any more, stops the daemon.
    fn drain(&mut self, writer: WriterProcess, mut daemon: Daemon) -> Result<()> {
        let (transactions, changes) = writer.stop()?;
        self.screen.done(&self.language.writer_stopped(transactions, changes));
        let stopped = Instant::now();
        let mut moved = (Instant::now(), Reading::default());
        let quiet = |reading: &Reading| {
            if *reading != moved.1 {
                moved = (Instant::now(), reading.clone());
            }
            moved.0.elapsed() >= QUIET
        };
        daemon.wait_until("the flow did not catch up", |reading| self.show(reading), quiet)?;
        let life = daemon.stop()?;
        self.bury(life);
        self.figures.rows_per_second_max = self.meter.fastest();
        self.screen.done(&self.language.drained(stopped.elapsed()));
        Ok(())
    }

    /// Compares source and targets by the command that a user would type; returns the last line that it prints, too.
    fn verify(&mut self) -> Result<(Outcome, String)> {
        self.screen.live(self.language.verifying());
        let compared = aqueduct(&self.folder)?
            .args(["--log", "warn", "verify", FLOW_FILE])
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| unavailable("cannot start `aqueduct verify`", error))?;
        let printed = String::from_utf8_lossy(&compared.stdout);
        let (table, totals) = printed.trim_end().rsplit_once('\n').unwrap_or_default();
        let outcome = match compared.status.code() {
            Some(0) => Outcome::InStep,
            Some(1) if !totals.is_empty() => Outcome::Differs,
            _ => {
                let what = format!("`aqueduct verify` could not compare: {}", compared.status);
                return Err(Error::new(ErrorKind::Unavailable, what));
            }
        };
        match outcome {
            Outcome::InStep => self.screen.done(self.language.verifying()),
            Outcome::Differs => self.screen.struck(self.language.verifying()),
        }
        self.screen.plain(table);
        Ok((outcome, totals.to_owned()))
    }

    fn show_targets(&mut self) -> Result<()> {
        self.screen.phase(self.language.warehouse_phase());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| unavailable("cannot read the warehouse", error))?;
        let warehouse = self.folder.join("warehouse.duckdb");
        for (table, columns) in SAMPLES {
            let drawn = runtime.block_on(sample(&warehouse, table, columns, 3))?;
            self.screen.plain(&format!("{table}\n{drawn}"));
        }
        let (files, bytes) = parquet_files(&self.folder.join("lake"));
        self.screen.done(&self.language.lake(files, bytes));
        Ok(())
    }

    fn conclude(&self, outcome: Outcome, totals: &str) {
        match outcome {
            Outcome::InStep => self.screen.verdict(true, totals),
            Outcome::Differs => self.screen.verdict(false, &format!("{} {totals}", self.language.differ())),
        }
        for line in self.language.figures(&self.figures) {
            self.screen.line(&format!("  {line}"));
        }
        self.screen.line(&format!("  {}\n", self.language.explore(&shown(&self.folder).display())));
    }
}

/// The flow, drawn.
const DRAWING: &str = "\
shop.db ─▶ mask customers ─▶ enrich orders by SQL ─┬▶ warehouse.duckdb   upsert, in DuckDB's own transactions
  CDC                                              └▶ lake/*.parquet     changelog, staged and renamed";

/// What is shown of the warehouse: a table and some of its columns.
const SAMPLES: [(&str, &[&str]); 2] = [
    ("customers", &["id", "name", "email", "phone", "city", "order_count"]),
    ("orders", &["id", "customer_id", "product", "amount", "vat", "size", "status"]),
];

/// A folder as a person would write it: relative where it lies below the present one.
fn shown(folder: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    let relative = here.as_deref().and_then(|here| folder.strip_prefix(here).ok());
    relative.unwrap_or(folder).to_owned()
}
