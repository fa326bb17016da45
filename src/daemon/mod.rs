//! `aqueduct run` as a child process.

mod process;
mod reading;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use aqueduct_engine::control::{Request, request};
use aqueduct_model::{Error, ErrorKind, Result};
use rustix::process::{Pid, Signal, kill_process};

use process::{cpu_seconds, peak_bytes, wait_for_end};
pub(crate) use reading::Reading;

/// How long a daemon may take for a step before its parent gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many lines of the log an error shows.
const LOG_LINES: usize = 12;

/// A running daemon. Killed when dropped, so that no demo leaves one behind.
pub(crate) struct Daemon {
    child: Child,
    started: Instant,
    log: PathBuf,
    state_dir: PathBuf,
    peak_bytes: u64,
}

/// What one life of a daemon has cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Life {
    pub(crate) lasted: Duration,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_bytes: u64,
}

/// The `aqueduct` program that is running now, working in a folder.
pub(crate) fn aqueduct(folder: &Path) -> Result<Command> {
    let program = std::env::current_exe().map_err(|error| unavailable("cannot find this program's own file", error))?;
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null()).env_remove("AQUEDUCT_STATE").env_remove("AQUEDUCT_LOG");
    Ok(command)
}

impl Daemon {
    /// Starts `command`, which runs a flow; its log is appended to the file `log`. `state_dir` is that of the flow.
    pub(crate) fn start(mut command: Command, log: PathBuf, state_dir: PathBuf) -> Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(|error| unavailable("cannot write the daemon's log", error))?;
        let child = command
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|error| unavailable("cannot start the daemon", error))?;
        Ok(Self { child, started: Instant::now(), log, state_dir, peak_bytes: 0 })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How long it has been running.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// What the flow shows of itself; `None` while it does not answer yet.
    ///
    /// # Errors
    /// When the daemon has died by itself, or its flow has failed.
    pub(crate) fn look(&mut self) -> Result<Option<Reading>> {
        self.peak_bytes = self.peak_bytes.max(peak_bytes(self.pid()).unwrap_or_default());
        match self.child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => return Err(self.died(&format!("the daemon ended by itself: {status}"))),
            Err(error) => return Err(unavailable("cannot look at the daemon", error)),
        }
        // A daemon that does not listen yet, or has just been killed, does not answer.
        let Ok(status) = request(&self.state_dir, Request::Status) else { return Ok(None) };
        let reading = Reading::of(&status);
        if reading.state == "failed" {
            let message = reading.message.unwrap_or_default();
            return Err(self.died(&format!("the flow failed: {message}")));
        }
        Ok(Some(reading))
    }

    /// Looks until `wanted`, showing every reading to `show`; returns the last one.
    ///
    /// # Errors
    /// As [`Daemon::look`]; `Timeout` when it takes too long.
    pub(crate) fn wait_until(
        &mut self,
        what: &str,
        mut show: impl FnMut(&Reading),
        mut wanted: impl FnMut(&Reading) -> bool,
    ) -> Result<Reading> {
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            if let Some(reading) = self.look()? {
                show(&reading);
                if wanted(&reading) {
                    return Ok(reading);
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(Error::new(ErrorKind::Timeout, self.with_log(&format!("{what} within {} s", PATIENCE.as_secs()))))
    }

    /// True once it has ended by itself and well.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub(crate) fn has_finished(&mut self) -> Result<bool> {
        let status = self.child.try_wait().map_err(|error| unavailable("cannot look at the daemon", error))?;
        Ok(status.is_some_and(|status| status.success()))
    }

    /// SIGSTOP: it does nothing any more, and does not know.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|error| unavailable("cannot signal the daemon", std::io::Error::from(error)))
    }

    /// SIGKILL: no handler, no farewell.
    pub(crate) fn kill(mut self) -> Result<Life> {
        self.child.kill().map_err(|error| unavailable("cannot kill the daemon", error))?;
        self.collect().map(|(life, _)| life)
    }

    /// SIGTERM: the flow drains to a last epoch.
    ///
    /// # Errors
    /// When it does not end with success.
    pub(crate) fn stop(mut self) -> Result<Life> {
        self.signal(Signal::TERM)?;
        let (life, status) = self.collect()?;
        if !status.success() {
            return Err(self.died(&format!("the daemon did not stop cleanly: {status}")));
        }
        Ok(life)
    }

    fn collect(&mut self) -> Result<(Life, ExitStatus)> {
        let failed = |error| unavailable("cannot wait for the daemon's end", error);
        wait_for_end(&self.child).map_err(failed)?;
        let lasted = self.age();
        let cpu_seconds = cpu_seconds(self.pid()).map_err(failed)?;
        let status = self.child.wait().map_err(failed)?;
        Ok((Life { lasted, cpu_seconds, peak_bytes: self.peak_bytes }, status))
    }

    fn died(&self, what: &str) -> Error {
        Error::new(ErrorKind::Unavailable, self.with_log(what))
            .with_hint(format!("the whole log is in {}", self.log.display()))
    }

    fn with_log(&self, what: &str) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n  ");
        format!("{what}; the end of its log:\n  {end}")
    }
}

/// An error of the surroundings: a file, a process, a database.
pub(crate) fn unavailable(doing: impl Into<String>, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unavailable, doing.into()).with_source(cause)
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail only for a process that is gone, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
