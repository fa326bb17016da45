//! What every system test needs: a working folder, the program as a child process, a bank that is being written.

pub mod bank;
pub mod captured;
pub mod daemon;
pub mod service;
pub mod texts;
pub mod writer;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The program under test.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aqueduct"));
    command.env_remove("AQUEDUCT_STATE").env_remove("AQUEDUCT_LOG").env_remove("FAILPOINTS");
    command
}

/// A folder of a test's own, with a flow in it.
pub struct Work {
    folder: TempDir,
}

impl Work {
    pub fn new() -> Self {
        Self { folder: TempDir::new().expect("a temporary folder") }
    }

    /// A folder with `flow.yaml` in it.
    pub fn with_flow(text: &str) -> Self {
        let work = Self::new();
        work.write("flow.yaml", text);
        work
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.file(name), text).expect("a writable temporary folder");
    }

    /// Runs the program to its end in this folder.
    pub fn aqueduct(&self, arguments: &[&str]) -> Finished {
        Finished::of(program().current_dir(self.path()).args(arguments))
    }

    /// Runs the program with an environment variable.
    pub fn aqueduct_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Finished {
        Finished::of(program().current_dir(self.path()).args(arguments).envs(environment.iter().copied()))
    }
}

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    pub fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("the program starts");
        Self {
            code: status.code(),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    /// The same, if it ended well.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// Waits until `check` holds; fails the test with `what` after the limit.
#[track_caller]
pub fn eventually(what: &str, limit: Duration, mut check: impl FnMut() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// A seeded random number: splitmix64.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }
}
