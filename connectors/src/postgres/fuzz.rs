//! Damaged inputs for the decoders' tests: no panic, no more than 64 MiB.
//!
//! They are made from a seed, so that a failure can be made again. Each test runs itself again as a process of its own,
//! whose memory the kernel limits: a length that is believed before it is checked ends that process.

use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many inputs a test of a decoder makes where the environment does not say.
const INPUTS: u64 = 20_000;
/// Set in the process that does the work.
const WORKER_VARIABLE: &str = "AQUEDUCT_FUZZ_WORKER";
/// What the work may take beyond what the process has before it.
const MEMORY_BYTES: u64 = 64 << 20;

/// The number of inputs: `AQUEDUCT_FUZZ_INPUTS`, or a number that takes a second or so.
pub(crate) fn inputs() -> u64 {
    std::env::var("AQUEDUCT_FUZZ_INPUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(INPUTS)
}

/// Does `work` in a process of its own; `module` and `test` name the test that calls this.
pub(crate) fn in_worker(module: &str, test: &str, work: impl FnOnce()) {
    if std::env::var_os(WORKER_VARIABLE).is_some() {
        limit_memory();
        return work();
    }
    let (_, module) = module.split_once("::").expect("a module of this crate");
    let output = Command::new(std::env::current_exe().expect("this program's place"))
        .args(["--exact", &format!("{module}::{test}"), "--nocapture", "--test-threads=1"])
        .env(WORKER_VARIABLE, "1")
        .output()
        .expect("a process of its own");
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
}

fn limit_memory() {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells a process about itself");
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).expect("its size");
    let kilobytes: u64 = size.trim().trim_end_matches(" kB").parse().expect("a number");
    let current = Some(kilobytes * 1024 + MEMORY_BYTES);
    let maximum = getrlimit(Resource::As).maximum;
    setrlimit(Resource::As, Rlimit { current, maximum }).expect("a limit may be lowered");
}

/// A source of damage. When the test panics, it says which input it was at.
#[derive(Debug)]
pub(crate) struct Damage {
    state: u64,
    seed: u64,
}

impl Damage {
    /// The damage of one seed.
    pub(crate) fn new(seed: u64) -> Self {
        // Neighbouring seeds must not lead to neighbouring states (splitmix64).
        let mixed = (seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self { state: (mixed ^ (mixed >> 27)) | 1, seed }
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as usize % end
    }

    /// One of several.
    pub(crate) fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// The input with one to four wounds: bytes changed, cut off, doubled, put in, or made into an absurd length.
    pub(crate) fn wound(&mut self, input: &[u8]) -> Vec<u8> {
        const ABSURD: [[u8; 4]; 5] =
            [[0xff; 4], [0x7f, 0xff, 0xff, 0xff], [0x80, 0, 0, 0], [0x3f, 0xff, 0xff, 0xff], [0, 0, 0xff, 0xff]];
        let mut bytes = input.to_vec();
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                bytes.push(0);
            }
            let at = self.below(bytes.len());
            match self.below(6) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = *self.one_of(b"\0\x01\x7f\x80\xff-+.:/ 09aBnutbNKOIUD\\"),
                2 => bytes.truncate(at),
                3 => {
                    let end = (at + 1 + self.below(16)).min(bytes.len());
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
                4 => bytes.insert(at, self.below(256) as u8),
                _ => {
                    let absurd = *self.one_of(&ABSURD);
                    let end = (at + 4).min(bytes.len());
                    bytes.splice(at..end, absurd);
                }
            }
        }
        bytes
    }
}

impl Drop for Damage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("damaged input of seed {}", self.seed);
        }
    }
}
