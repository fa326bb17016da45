//! One fault after the other, and what the flow made of it.

use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use aqueduct_connectors::cdc;
use aqueduct_faults::{Fault as Broken, Proxy};
use aqueduct_model::{Error, ErrorKind, Result, SourceContext};
use rusqlite::Connection;
use serde_json::Value;

use super::scratch::{Scratch, path_of};
use super::{Fault, Options, Random, Report, require};
use crate::daemon::{Daemon, Reading, unavailable};

/// How long a lasting fault lasts.
const LASTING: Duration = Duration::from_secs(3);
/// How long a SQLite target is held: longer than a sink waits by default.
const HELD: Duration = Duration::from_millis(6_500);
/// How long replies are lost.
const REPLIES_LOST: Duration = Duration::from_millis(400);
/// By how much each packet of a slow network is late.
const LATE: Duration = Duration::from_millis(25);
/// The flow works for up to this long before it is broken.
const WORK_MS: u64 = 900;
/// A flow without new rows has no reason to commit: it is back when it has run for this long.
const RUNNING_FOR: Duration = Duration::from_secs(2);
/// A flow that is not back after this long did not survive.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Lines of what a command said that a complaint shows.
const LINES: usize = 8;

/// A session under way.
pub(super) struct Session<'a> {
    scratch: &'a Scratch,
    options: &'a Options,
    show: &'a mut dyn FnMut(&str),
    random: Random,
    report: Report,
}

impl<'a> Session<'a> {
    pub(super) fn new(scratch: &'a Scratch, options: &'a Options, show: &'a mut dyn FnMut(&str)) -> Self {
        let report = Report { seed: options.seed, audited: true, ..Report::default() };
        Self { scratch, options, show, random: Random(options.seed), report }
    }

    /// Breaks, compares, cleans up.
    pub(super) fn run(mut self) -> Result<Report> {
        let result = self.break_things();
        let retired = self.retire();
        result?;
        retired?;
        Ok(self.report)
    }

    fn break_things(&mut self) -> Result<()> {
        let possible = self.possible();
        let mut daemon = self.start()?;
        let mut turn = 0;
        while turn < self.options.faults && !possible.is_empty() {
            sleep(Duration::from_millis(self.random.below(WORK_MS)));
            if daemon.has_finished()? {
                if !self.scratch.is_only_files() {
                    (self.show)("the flow has finished; its target cannot be emptied, so it is not run again");
                    break;
                }
                self.compare()?;
                self.audit()?;
                self.retire()?;
                self.scratch.clear()?;
                daemon = self.start()?;
                continue;
            }
            let fault = possible[turn as usize % possible.len()];
            turn += 1;
            daemon = self.turn(turn, fault, daemon)?;
        }
        // While it runs: a server that never rests is compared at a position that the target comes to.
        self.compare()?;
        if !daemon.has_finished()? {
            daemon.stop()?;
        }
        self.audit()
    }

    /// The faults that this flow offers; the others are noted.
    fn possible(&mut self) -> Vec<Fault> {
        let wanted = |fault: &Fault| self.options.only.is_empty() || self.options.only.contains(fault);
        let wanted: Vec<Fault> = Fault::ALL.into_iter().filter(wanted).collect();
        let (possible, not): (Vec<Fault>, Vec<Fault>) = wanted.into_iter().partition(|fault| match fault {
            fault if fault.is_of_network() => !self.scratch.proxies.is_empty(),
            Fault::Locked => self.sqlite_target().is_some(),
            Fault::Ddl => !self.options.ddl.is_empty(),
            _ => true,
        });
        self.report.impossible = not.into_iter().map(|fault| (fault, fault.lacks())).collect();
        possible
    }

    fn sqlite_target(&self) -> Option<&std::path::Path> {
        self.scratch.sinks().find(|task| task.entry.name == "SQLiteOutput").and_then(path_of)
    }

    fn start(&mut self) -> Result<Daemon> {
        let command = self.scratch.command("run", &["--progress", "none"])?;
        let log = self.scratch.folder.join("daemon.log");
        let mut daemon = Daemon::start(command, log, self.scratch.plan.state_dir.clone())?;
        wait_back(&mut daemon, 0)?;
        Ok(daemon)
    }

    /// One fault; returns the daemon that runs afterwards.
    fn turn(&mut self, turn: u32, fault: Fault, mut daemon: Daemon) -> Result<Daemon> {
        let before = daemon.look()?.map_or(0, |reading: Reading| reading.epoch);
        let place = self.place();
        let line = self.report.lines.entry(fault).or_default();
        line.times += 1;
        let back = self.inflict(fault, place, daemon).and_then(|mut daemon| {
            let back = wait_back(&mut daemon, before)?;
            Ok((daemon, back))
        });
        let at = self.scratch.proxies.get(place).filter(|_| fault.is_of_network()).map_or("", |(task, _)| task);
        let what = format!("{turn:>4}/{}  {:<26} {at:<16}", self.options.faults, fault.words());
        match back {
            Ok((daemon, back)) => {
                (self.show)(&format!("{what} back after {} ms", back.as_millis()));
                let line = self.report.lines.entry(fault).or_default();
                line.survived += 1;
                line.back_after.push(back);
                Ok(daemon)
            }
            Err(error) => {
                (self.show)(&format!("{what} NOT back"));
                self.report.complaints.push(format!("{}: {}", fault.words(), error.chain()));
                self.start()
            }
        }
    }

    /// Which proxy a fault of the network is at.
    fn place(&mut self) -> usize {
        self.random.below(self.scratch.proxies.len() as u64) as usize
    }

    /// Does it, and undoes it.
    fn inflict(&mut self, fault: Fault, place: usize, daemon: Daemon) -> Result<Daemon> {
        match fault {
            Fault::Kill => {
                daemon.kill()?;
                return self.start();
            }
            Fault::Restart => {
                daemon.stop()?;
                return self.start();
            }
            Fault::Freeze => {
                daemon.freeze()?;
                sleep(LASTING);
                daemon.thaw()?;
            }
            Fault::Disconnect => self.proxy(place)?.cut(),
            Fault::Unreachable => self.broken(place, Broken::Refuse, LASTING)?,
            Fault::Silence => self.broken(place, Broken::HalfOpen, LASTING)?,
            Fault::Slow => self.broken(place, Broken::Delay(LATE), LASTING)?,
            Fault::LostReply => self.broken(place, Broken::DropReply, REPLIES_LOST)?,
            Fault::Locked => hold(require(self.sqlite_target(), "its target")?)?,
            Fault::Ddl => self.run_statement()?,
        }
        Ok(daemon)
    }

    fn proxy(&self, place: usize) -> Result<&Proxy> {
        require(self.scratch.proxies.get(place).map(|(_, proxy)| proxy), "a proxy")
    }

    fn broken(&self, place: usize, how: Broken, lasting: Duration) -> Result<()> {
        let proxy = self.proxy(place)?;
        proxy.set(how);
        sleep(lasting);
        proxy.set(Broken::None);
        Ok(())
    }

    /// Runs the next statement; each is run once.
    fn run_statement(&mut self) -> Result<()> {
        let done = self.report.lines.get(&Fault::Ddl).map_or(0, |line| line.times as usize).saturating_sub(1);
        let Some((task, statement)) = self.options.ddl.get(done) else { return Ok(()) };
        let task = self.scratch.plan.tasks.iter().find(|planned| planned.id == *task).ok_or_else(|| {
            Error::config(format!("no task is called {task}"))
                .with_setting("--ddl")
                .with_hint("write --ddl TASK=STATEMENT")
        })?;
        let config = serde_json::from_value(task.config.clone())
            .map_err(|_| Error::config(format!("{} is no CdcInput", task.id)).with_setting("--ddl"))?;
        cdc::execute(config, statement)
    }

    /// Looks for gaps and overlaps in the receipts of the flow, which has ended.
    fn audit(&mut self) -> Result<()> {
        let audit = self.output("audit", &[])?;
        if !audit.success {
            self.report.audited = false;
            self.report.complaints.push(format!("audit: {}", audit.end()));
        }
        Ok(())
    }

    /// Compares source and targets, row by row.
    fn compare(&mut self) -> Result<()> {
        let verify = self.output("verify", &["--json"])?;
        let Ok(report) = serde_json::from_str::<Value>(verify.text.lines().last().unwrap_or_default()) else {
            if !verify.text.contains("can be read back") {
                self.report.complaints.push(format!("verify: {}", verify.end()));
            }
            return Ok(());
        };
        let sum = |what: &str| {
            let tables = report["tables"].as_array().into_iter().flatten();
            tables.filter_map(|table| table[what].as_u64()).sum::<u64>()
        };
        let (missing, extra, different) = self.report.differences.unwrap_or_default();
        let found = (missing + sum("missing"), extra + sum("extra"), different + sum("different"));
        self.report.differences = Some(found);
        Ok(())
    }

    fn output(&self, command: &str, more: &[&str]) -> Result<Output> {
        let output = self
            .scratch
            .command(command, more)?
            .stdin(Stdio::null())
            .output()
            .map_err(|error| unavailable(format!("cannot start `aqueduct {command}`"), error))?;
        let text = [String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout)].concat();
        Ok(Output { success: output.status.success(), text })
    }

    /// Takes back what the flow made at its sources.
    fn retire(&mut self) -> Result<()> {
        for (_, proxy) in &self.scratch.proxies {
            proxy.set(Broken::None);
        }
        let plan = &self.scratch.plan;
        for task in &plan.tasks {
            let state_dir = Some(plan.source_dir(&task.id));
            let context =
                SourceContext { flow: plan.flow.clone(), task: task.id.clone(), state_dir, ..SourceContext::default() };
            (task.entry.retire)(&task.config, &context)?;
        }
        Ok(())
    }
}

struct Output {
    success: bool,
    text: String,
}

impl Output {
    fn end(&self) -> String {
        let lines: Vec<&str> = self.text.trim_end().lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n    ")
    }
}

/// Waits until the flow has committed something behind an epoch, or has run for a while with nothing to commit, or has
/// finished.
fn wait_back(daemon: &mut Daemon, before: u64) -> Result<Duration> {
    let asked = Instant::now();
    let mut running: Option<Instant> = None;
    while asked.elapsed() < PATIENCE {
        if daemon.has_finished()? {
            return Ok(asked.elapsed());
        }
        match daemon.look()? {
            Some(reading) if reading.running => {
                let since = *running.get_or_insert_with(Instant::now);
                if reading.epoch > before || since.elapsed() >= RUNNING_FOR {
                    return Ok(asked.elapsed());
                }
            }
            _ => running = None,
        }
        sleep(LOOK_EVERY);
    }
    Err(Error::new(ErrorKind::Timeout, format!("the flow was not back within {} s", PATIENCE.as_secs())))
}

/// Holds a SQLite database's lock.
fn hold(path: &std::path::Path) -> Result<()> {
    let failed = |error| unavailable("cannot lock the target", error);
    let connection = Connection::open(path).map_err(failed)?;
    connection.busy_timeout(LASTING).map_err(failed)?;
    connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    sleep(HELD);
    connection.execute_batch("ROLLBACK").map_err(failed)
}
