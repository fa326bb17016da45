//! SIGKILL at random moments, during opening too: every acknowledged epoch is there, whole, and no token repeats.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use aqueduct_checkpoint::{Recovery, StoreKind};
use aqueduct_model::Token;

use crate::support::{KINDS, Noise, checked_load, open, record};

const FOLDER: &str = "AQUEDUCT_STORE_FOLDER";
const KIND: &str = "AQUEDUCT_STORE_KIND";
/// Over both databases.
const KILLS_DEFAULT: u64 = 3_000;

/// Not a test of its own: what the kill loop runs as a second process. It opens, reports, and logs until it dies.
#[test]
fn writer_process() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let kind = if std::env::var(KIND).as_deref() == Ok("redb") { StoreKind::Redb } else { StoreKind::Sled };
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    let began = Instant::now();
    let mut opened = match open(Path::new(&folder), kind) {
        Ok(opened) => opened,
        Err(error) => return say(format_args!("unopenable {error:?}")),
    };
    let micros = began.elapsed().as_micros();
    let mut epoch = checked_load(opened.store.as_mut());
    let rebuilt = u8::from(matches!(opened.recovery, Recovery::RebuiltFromJournal { moved_to: Some(_) }));
    say(format_args!("open {epoch} {micros} {rebuilt}"));
    let token = opened.store.next_token().expect("a token");
    say(format_args!("token {token}"));
    loop {
        epoch += 1;
        opened.store.log(&record(epoch, token)).expect("logs");
        say(format_args!("ack {epoch}"));
    }
}

/// The test harness writes to the same pipe: our lines are told by their `@`. Each is one short write, which a kill
/// cannot cut in two (POSIX, `PIPE_BUF`).
fn say(line: std::fmt::Arguments<'_>) {
    let line = format!("\n@{line}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).expect("the parent reads");
}

/// What a kill loop saw.
#[derive(Default)]
struct Report {
    kills: u64,
    killed_before_open: u64,
    acks: u64,
    lost: u64,
    torn: u64,
    unopenable: u64,
    repeated_tokens: u64,
    rebuilt: u64,
    open_micros: Vec<u64>,
    acked: u64,
    token: Token,
}

impl Report {
    /// Takes in a line of the child.
    fn read(&mut self, line: &str) {
        let Some(line) = line.strip_prefix('@') else { return };
        let mut words = line.split(' ');
        let verb = words.next().unwrap_or_default();
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or_default();
        match verb {
            "open" => {
                let epoch = number();
                if epoch < self.acked {
                    self.lost += 1;
                    println!("acknowledged {}, found {epoch}", self.acked);
                }
                self.acked = epoch;
                self.open_micros.push(number());
                self.rebuilt += number();
            }
            "token" => {
                let token = Token(number());
                self.repeated_tokens += u64::from(token <= self.token);
                self.token = token;
            }
            "ack" => {
                self.acks += 1;
                self.acked = number();
            }
            _ => {
                self.unopenable += 1;
                println!("{line}");
            }
        }
    }

    fn print(&mut self, kind: StoreKind, took: Duration) {
        self.open_micros.sort_unstable();
        let last = self.open_micros.len().saturating_sub(1);
        let open_ms =
            |share: f64| self.open_micros.get((last as f64 * share) as usize).copied().unwrap_or(0) as f64 / 1e3;
        println!(
            "{kind}: {} kills ({} before it was open), {} acks, {} lost, {} torn, {} unopenable, {} tokens repeated, {} rebuilt; \
             open p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms; {:.0} s",
            self.kills,
            self.killed_before_open,
            self.acks,
            self.lost,
            self.torn,
            self.unopenable,
            self.repeated_tokens,
            self.rebuilt,
            open_ms(0.5),
            open_ms(0.99),
            open_ms(1.0),
            took.as_secs_f64()
        );
    }
}

fn kill_loop(kind: StoreKind, folder: PathBuf, kills: u64) -> Report {
    let mut report = Report::default();
    let mut noise = Noise(0x5EED_0000 + kills);
    let began = Instant::now();
    for _ in 0..kills {
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["kill::writer_process", "--exact", "--nocapture", "--test-threads=1"])
            .env(FOLDER, &folder)
            .env(KIND, kind.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let opens = report.open_micros.len();
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        // Half of the kills while it starts and opens, the others while it logs, however slow the machine is.
        let while_opening = noise.below(2) == 0;
        if !while_opening {
            let acks = report.acks + noise.below(4);
            let token = report.token;
            while report.token == token || report.acks < acks {
                let Some(line) = lines.next() else { break };
                report.read(&line.expect("reads"));
            }
        }
        thread::sleep(Duration::from_micros(noise.below(if while_opening { 25_000 } else { 10_000 })));
        child.kill().expect("kills");
        for line in lines {
            report.read(&line.expect("reads"));
        }
        let status = child.wait().expect("ends");
        report.kills += 1;
        report.killed_before_open += u64::from(report.open_micros.len() == opens);
        // 101: an assertion in the child failed.
        report.torn += u64::from(status.code() == Some(101));
    }
    report.print(kind, began.elapsed());
    report
}

#[test]
fn sigkill_loses_nothing() {
    let kills = std::env::var("AQUEDUCT_STORE_KILLS").map_or(KILLS_DEFAULT, |kills| kills.parse().expect("a number"));
    let loops = KINDS.map(|kind| {
        let folder = tempfile::tempdir().expect("a folder");
        thread::spawn(move || {
            let mut report = kill_loop(kind, folder.path().join("state"), kills.div_ceil(KINDS.len() as u64));
            let mut last = open(&folder.path().join("state"), kind).expect("opens at the end");
            assert!(checked_load(last.store.as_mut()) >= report.acked);
            report.lost += u64::from(last.store.next_token().expect("a token") <= report.token);
            report
        })
    });
    for report in loops.map(|handle| handle.join().expect("no panic")) {
        assert!(report.acks > 0, "nothing was tested");
        assert_eq!((report.lost, report.torn, report.unopenable, report.repeated_tokens), (0, 0, 0, 0));
    }
}
