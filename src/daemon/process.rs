//! What a process has cost, as Linux tells it (proc(5)).

use std::fs;
use std::io;
use std::process::Child;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// Ticks per second in `/proc/<pid>/stat`: USER_HZ, which is 100 on every architecture that Rust's Linux targets have.
const TICKS_PER_SECOND: f64 = 100.0;
/// Where `utime` and `stime` stand behind the command's name, which may hold blanks.
const UTIME_AFTER_NAME: usize = 11;

/// User and system time in seconds. Works for a process that has ended and was not waited for, too.
pub(super) fn cpu_seconds(pid: u32) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    let ticks: u64 =
        fields.split_whitespace().skip(UTIME_AFTER_NAME).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// The most memory that was resident at once, in bytes; `None` once the process has ended.
pub(super) fn peak_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Waits for a child's end without collecting it, so that its times can still be read.
pub(super) fn wait_for_end(child: &Child) -> io::Result<()> {
    waitid(WaitId::Pid(Pid::from_child(child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_times_and_memory_are_read() {
        let pid = std::process::id();
        assert!(cpu_seconds(pid).unwrap() >= 0.0);
        assert!(peak_bytes(pid).unwrap() > 100 << 10);
    }
}
