//! Mutated inputs: no panic, no second of computing, no more than 64 MiB.
//!
//! Each test runs itself again as a process of its own, whose memory the kernel limits: a length that is believed
//! before it is checked ends that process. `AQUEDUCT_FUZZ_INPUTS` says how many inputs there are.

use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::fuzz_targets::{self as targets, Target};

const INPUTS: usize = 20_000;
const INPUTS_VARIABLE: &str = "AQUEDUCT_FUZZ_INPUTS";
/// Set in the process that does the work.
const WORKER_VARIABLE: &str = "AQUEDUCT_FUZZ_WORKER";
/// What one input may take; the worker's own needs are in its memory before.
const MEMORY_BYTES: u64 = 64 << 20;
const CPU_NS: i64 = 1_000_000_000;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Xorshift: the same inputs in every run.
pub(super) struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.next() % n as u64) as usize }
    }
}

/// Numbers that lengths and offsets like to be wrong with.
const EDGES: [u8; 10] = [0, 1, 0x7f, 0x80, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff];

/// Changes a few bytes of an input, or its length, or puts a piece of another one in.
pub(super) fn mutate(input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(8) {
            0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            2 | 3 if !bytes.is_empty() => bytes[at] = EDGES[random.below(EDGES.len())],
            4 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            5 => bytes.truncate(at),
            6 => {
                let from = random.below(other.len());
                let length = random.below(other.len() - from + 1).min(64);
                let piece = other[from..from + length].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let end = (at + random.below(8)).min(bytes.len());
                drop(bytes.drain(at..end));
            }
        }
    }
    bytes
}

fn cpu_ns() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Runs a target on mutated inputs, in a process of its own.
fn fuzz(test: &str, target: fn() -> Box<dyn Target>) {
    if std::env::var(WORKER_VARIABLE).is_ok() {
        return work(target().as_mut());
    }
    let (_, module) = module_path!().split_once("::").unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::{test}"), "--nocapture", "--test-threads=1"])
        .env(WORKER_VARIABLE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
}

fn work(target: &mut dyn Target) {
    let inputs = std::env::var(INPUTS_VARIABLE).ok().and_then(|n| n.parse().ok()).unwrap_or(INPUTS);
    let seeds = target.seeds();
    assert!(!seeds.is_empty());
    // Once without a change: what the target keeps for itself is set aside by then.
    for seed in &seeds {
        target.run(seed);
    }
    limit_memory();
    let mut random = Random::new(SEED);
    let mut worst = 0;
    for number in 0..inputs {
        let seed = random.below(seeds.len());
        let other = random.below(seeds.len());
        let input = mutate(&seeds[seed], &seeds[other], &mut random);
        let before = cpu_ns();
        target.choose(seed);
        target.run(&input);
        let took = cpu_ns() - before;
        assert!(took < CPU_NS, "input {number} took {took} ns");
        worst = worst.max(took);
    }
    println!("{inputs} inputs, the slowest took {} us", worst / 1000);
}

/// Lets the process have so much more than it has now.
fn limit_memory() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let kilobytes: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
    let limit = kilobytes * 1024 + MEMORY_BYTES;
    let maximum = getrlimit(Resource::As).maximum;
    setrlimit(Resource::As, Rlimit { current: Some(limit), maximum }).unwrap();
}

#[test]
fn fuzz_events() {
    fuzz("fuzz_events", || Box::new(targets::Events));
}

#[test]
fn fuzz_row_images() {
    fuzz("fuzz_row_images", || Box::new(targets::RowImages::default()));
}

#[test]
fn fuzz_json_documents() {
    fuzz("fuzz_json_documents", || Box::new(targets::JsonDocuments));
}

#[test]
fn fuzz_decimals_and_times() {
    fuzz("fuzz_decimals_and_times", || Box::new(targets::Values));
}

#[test]
fn fuzz_texts() {
    fuzz("fuzz_texts", || Box::new(targets::Texts));
}

#[test]
fn fuzz_gtids() {
    fuzz("fuzz_gtids", || Box::new(targets::Gtids));
}

#[test]
fn fuzz_statements() {
    fuzz("fuzz_statements", || Box::new(targets::Statements::default()));
}
