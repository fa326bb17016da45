//! `aqueduct run` as a child process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use aqueduct_engine::control::{Request, request};
use aqueduct_model::{Error, ErrorKind, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::meter::Reading;
use super::process::{cpu_seconds, peak_bytes, wait_for_end};
use super::unavailable;

/// The flow of the demo, in its folder.
pub(super) const FLOW_FILE: &str = "flow.yaml";
/// The daemon's log, in the demo's folder.
pub(super) const LOG_FILE: &str = "daemon.log";
/// How long a daemon may take for a step before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many lines of the log an error shows.
const LOG_LINES: usize = 12;

/// A running daemon. Killed when dropped, so that no demo leaves one behind.
pub(super) struct Daemon {
    child: Child,
    started: Instant,
    folder: PathBuf,
    state_dir: PathBuf,
    peak_bytes: u64,
}

/// What one life of a daemon has cost.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Life {
    pub(super) lasted: Duration,
    pub(super) cpu_seconds: f64,
    pub(super) peak_bytes: u64,
}

/// The `aqueduct` program that is running now, working in a folder.
pub(super) fn aqueduct(folder: &Path) -> Result<Command> {
    let program = std::env::current_exe().map_err(|error| unavailable("cannot find this program's own file", error))?;
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null()).env_remove("AQUEDUCT_STATE").env_remove("AQUEDUCT_LOG");
    Ok(command)
}

impl Daemon {
    /// Starts the flow in `folder`; its log is appended to the log file there.
    pub(super) fn start(folder: &Path, flow: &str) -> Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(folder.join(LOG_FILE))
            .map_err(|error| unavailable("cannot write the daemon's log", error))?;
        let child = aqueduct(folder)?
            .args(["run", FLOW_FILE, "--progress", "none"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| unavailable("cannot start the daemon", error))?;
        let state_dir = folder.join(".aqueduct").join(flow);
        Ok(Self { child, started: Instant::now(), folder: folder.to_owned(), state_dir, peak_bytes: 0 })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How long it has been running.
    pub(super) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// What the flow shows of itself; `None` while it does not answer yet.
    ///
    /// # Errors
    /// When the daemon has died by itself, or its flow has failed.
    pub(super) fn look(&mut self) -> Result<Option<Reading>> {
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
    pub(super) fn wait_until(
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

    /// SIGKILL: no handler, no farewell.
    pub(super) fn kill(mut self) -> Result<Life> {
        self.child.kill().map_err(|error| unavailable("cannot kill the daemon", error))?;
        self.collect().map(|(life, _)| life)
    }

    /// SIGTERM: the flow drains to a last epoch.
    ///
    /// # Errors
    /// When it does not end with success.
    pub(super) fn stop(mut self) -> Result<Life> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)
            .map_err(|error| unavailable("cannot stop the daemon", std::io::Error::from(error)))?;
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
            .with_hint(format!("the whole log is in {}", self.folder.join(LOG_FILE).display()))
    }

    fn with_log(&self, what: &str) -> String {
        let log = std::fs::read_to_string(self.folder.join(LOG_FILE)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n  ");
        format!("{what}; the end of its log:\n  {end}")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail only for a process that is gone, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
