//! The program as a daemon: started, watched, killed.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use aqueduct_engine::control::{Request, request};
use serde_json::Value;

use super::{eventually, program};

/// A running `aqueduct run flow.yaml`.
pub struct Daemon {
    child: Child,
    state_dir: std::path::PathBuf,
}

impl Daemon {
    /// Starts a flow of a folder; `state` is its checkpoint root.
    pub fn start(folder: &Path, flow: &str, state: &str, environment: &[(&str, &str)]) -> Self {
        let name = Path::new(flow).file_stem().expect("a file name").to_string_lossy().into_owned();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("daemon.log")).expect("a log");
        let child = program()
            .current_dir(folder)
            .args(["run", flow, "--state", state, "--progress", "none"])
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program starts");
        Self { child, state_dir: folder.join(state).join(name) }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The flow's status, if the daemon answers.
    pub fn status(&self) -> Option<Value> {
        request(&self.state_dir, Request::Status).ok()
    }

    /// Waits for a flow state.
    #[track_caller]
    pub fn wait_for_state(&self, state: &str, limit: Duration) {
        eventually(&format!("state {state}"), limit, || self.status().is_some_and(|status| status["state"] == state));
    }

    pub fn pause(&self) {
        request(&self.state_dir, Request::Pause).expect("the daemon pauses");
    }

    pub fn resume(&self) {
        request(&self.state_dir, Request::Resume).expect("the daemon resumes");
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("a child that was not waited for");
        self.child.wait().expect("a killed child ends");
    }

    /// Sends a signal by number.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("the daemon lives");
    }

    /// Asks it to drain and end; returns its exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.child.wait().expect("the daemon ends").code()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().expect("the daemon ends").code()
    }

    /// True once it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_some()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A test that failed leaves no daemon behind; one that ended is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The daemons' common log of a folder.
pub fn log_of(folder: &Path) -> String {
    let mut text = String::new();
    if let Ok(mut file) = std::fs::File::open(folder.join("daemon.log")) {
        file.read_to_string(&mut text).expect("the log is text");
    }
    text
}

/// The end of that log: what is shown of a failure.
pub fn log_end_of(folder: &Path) -> String {
    const LINES: usize = 30;
    let log = log_of(folder);
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
