//! What a process costs: CPU-seconds, seconds, and the most memory that it held.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use rustix::time::{ClockId, clock_gettime};

/// Units of `/proc/<pid>/stat`; Linux shows it in hundredths on every machine.
const TICKS_PER_SECOND: f64 = 100.0;
/// How often a child's memory is looked at. The kernel keeps the peak; only what it grows after the last look is missed.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What a process cost.
#[derive(Clone, Copy)]
pub struct Usage {
    pub cpu_seconds: f64,
    pub seconds: f64,
    pub peak_mib: f64,
}

/// CPU-seconds of this process so far.
pub fn own_cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// User and system seconds of a process, all threads, to the hundredth; of a zombie too.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
    // The name, in parentheses, may hold spaces; utime and stime are the 12th and 13th fields behind it.
    let (_, fields) = stat.rsplit_once(')').expect("stat has a name");
    let ticks: Vec<f64> = fields.split_ascii_whitespace().skip(11).take(2).filter_map(|n| n.parse().ok()).collect();
    ticks.iter().sum::<f64>() / TICKS_PER_SECOND
}

/// A line of `/proc/<pid>/status` that is in KiB, as MiB; `None` once the process has ended.
pub fn memory_mib(pid: u32, line: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let found = status.lines().find(|text| text.starts_with(line))?;
    found.split_ascii_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1_024.0)
}

/// Runs a program to its end, which must be a good one.
pub fn run_to_end(command: &mut Command) -> Usage {
    let started = Instant::now();
    let child = command.spawn().expect("the program starts");
    watch_to_end(child, started)
}

/// Waits for a child's end, which must be a good one.
pub fn watch_to_end(mut child: Child, started: Instant) -> Usage {
    let pid = child.id();
    let mut peak_mib = 0.0;
    while !is_zombie(&child) {
        peak_mib = memory_mib(pid, "VmHWM:").unwrap_or(peak_mib);
        std::thread::sleep(LOOK_EVERY);
    }
    let usage = Usage { cpu_seconds: cpu_seconds(pid), seconds: started.elapsed().as_secs_f64(), peak_mib };
    let status = child.wait().expect("a child can be waited for");
    assert!(status.success(), "the measured program failed: {status}");
    usage
}

/// True once it has ended; its times can still be read.
fn is_zombie(child: &Child) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(Pid::from_child(child)), options).expect("a child can be waited for").is_some()
}
