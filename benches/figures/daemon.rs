//! The program under test as a child process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aqueduct_engine::control::{Request, request};
use serde_json::Value;

use crate::usage::{Usage, watch_to_end};

/// How long anything may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// `aqueduct run flow.yaml` in a folder, not started yet. The flow must be called `figures`.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aqueduct"));
    command
        .current_dir(folder)
        .args(["run", "flow.yaml", "--state", "state", "--progress", "none", "--log", "warn"])
        .env_remove("AQUEDUCT_STATE")
        .env_remove("AQUEDUCT_LOG")
        .env_remove("FAILPOINTS")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.join("daemon.log")).expect("a log"));
    command
}

/// A flow that runs until it is stopped.
pub struct Daemon {
    child: Child,
    state_dir: PathBuf,
    started: Instant,
}

impl Daemon {
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    pub fn start_with(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let started = Instant::now();
        let child = command(folder).envs(environment.iter().copied()).spawn().expect("the program starts");
        Self { child, state_dir: folder.join("state/figures"), started }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How long it has been running.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits, looking every so often.
    pub fn wait_until(&mut self, every: Duration, what: &str, holds: impl Fn(&Value) -> bool) {
        while self.started.elapsed() < PATIENCE {
            if request(&self.state_dir, Request::Status).is_ok_and(|status| holds(&status)) {
                return;
            }
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                let log = self.state_dir.with_file_name("../daemon.log");
                panic!(
                    "the daemon ended ({status}) before {what}: {}",
                    std::fs::read_to_string(log).unwrap_or_default()
                );
            }
            std::thread::sleep(every);
        }
        self.child.kill().expect("a child that was not waited for");
        panic!("it took too long: {what}");
    }

    /// Lets it drain and end.
    pub fn stop(self) -> Usage {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("the daemon lives");
        watch_to_end(self.child, self.started)
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("a child that was not waited for");
        self.child.wait().expect("a killed child ends");
    }
}

/// Rows that a task has taken in so far.
pub fn rows_in(status: &Value, task: &str) -> u64 {
    let tasks = status["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = tasks.iter().find(|entry| entry["id"] == task);
    found.and_then(|entry| entry["rows_in"].as_u64()).unwrap_or(0)
}
