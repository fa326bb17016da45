//! A process that ends at a crash point, and bugs planted on purpose: each in a child process of its own, because
//! crash points belong to a whole process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use aqueduct_model::conformance::{Orders, Tables, apply};
use aqueduct_model::{Epoch, PreparedCommit, Sink};
use tempfile::TempDir;

use super::changelog::Mode;
use super::tests::{Session, lines_sink, read_lines, run, suite};

const PART: &str = "AQUEDUCT_TEST_PART";
const TABLES: [&str; 2] = ["orders", "returns"];

fn child(part: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "staged_files::crash_tests::part_of_a_child", "--nocapture"])
        .env(PART, part)
        .output()
        .unwrap()
}

/// Does nothing by itself: the child's side of the tests below.
#[test]
fn part_of_a_child() {
    let Ok(part) = std::env::var(PART) else { return };
    let words: Vec<&str> = part.split(' ').collect();
    match words[..] {
        ["suite", bug] => {
            fail::cfg(bug, "return").unwrap();
            let found = suite(Mode::Append, 100).err().unwrap_or_default();
            assert_eq!(found, [""; 0]);
        }
        ["crash", point, nth, folder] => {
            let (nth, hits): (usize, _) = (nth.parse().unwrap(), AtomicUsize::new(0));
            fail::cfg_callback(point, move || {
                if hits.fetch_add(1, Ordering::SeqCst) + 1 == nth {
                    std::process::abort();
                }
            })
            .unwrap();
            write_epochs(Path::new(folder), 1, 0, 6);
        }
        _ => panic!("unknown part"),
    }
}

/// Writes epochs up to `last` the way the engine does: flush, log, commit. The log is a file beside the folder.
fn write_epochs(folder: &Path, token: u64, done: u64, last: u64) {
    run(async {
        let mut session =
            Session::start(lines_sink(&folder.join("out"), Mode::Append, 100), token, done).await.unwrap();
        if done > 0 {
            session.sink.commit(Epoch(done), &logged(folder).unwrap().1).await.unwrap();
        }
        while session.epoch < last {
            for table in TABLES {
                session.write(rows(table, session.epoch + 1)).await.unwrap();
            }
            let prepared = session.flush().await.unwrap();
            let record = serde_json::to_vec(&(session.epoch, &prepared)).unwrap();
            fs::write(folder.join("log.tmp"), record).unwrap();
            fs::rename(folder.join("log.tmp"), folder.join("log")).unwrap();
            session.sink.commit(Epoch(session.epoch), &prepared).await.unwrap();
        }
    });
}

fn rows(table: &str, epoch: u64) -> aqueduct_model::Batch {
    let from = epoch as i64 * 100;
    Orders::new(table).unwrap().inserts(from..from + 9).unwrap()
}

fn logged(folder: &Path) -> Option<(u64, PreparedCommit)> {
    fs::read(folder.join("log")).ok().map(|record| serde_json::from_slice(&record).unwrap())
}

#[test]
fn a_process_that_ends_at_any_point_loses_and_doubles_nothing() {
    let mut expected = Tables::new();
    for epoch in 1..=8 {
        for table in TABLES {
            apply(&mut expected, &rows(table, epoch)).unwrap();
        }
    }
    expected.values_mut().for_each(|rows| rows.sort());
    for point in [
        "sink.flush",
        "sink.precommit",
        "sink.commit_before",
        "file.rename_before",
        "file.rename_after",
        "sink.commit_after_no_reply",
    ] {
        for nth in [1, 2, 5, 6] {
            let folder = TempDir::new().unwrap();
            let output = child(&format!("crash {point} {nth} {}", folder.path().display()));
            assert!(!output.status.success(), "{point} was not reached {nth} times");
            let done = logged(folder.path()).map_or(0, |(epoch, _)| epoch);
            write_epochs(folder.path(), 2, done, 8);
            let mut seen = read_lines(&folder.path().join("out"), Mode::Append).unwrap();
            seen.values_mut().for_each(|rows| rows.sort());
            assert_eq!(seen, expected, "{point} hit {nth}");
            assert_eq!(unlisted(&folder.path().join("out")), Vec::<PathBuf>::new(), "{point} hit {nth}");
        }
    }
}

/// Files that are in a table's folder and not in the manifest.
fn unlisted(root: &Path) -> Vec<PathBuf> {
    let listed: Vec<PathBuf> =
        super::folder::committed_files(root).unwrap().1.iter().map(|entry| root.join(&entry.path)).collect();
    let mut found = Vec::new();
    for table in TABLES {
        found.extend(fs::read_dir(root.join(table)).unwrap().map(|entry| entry.unwrap().path()));
    }
    found.retain(|path| !listed.contains(path));
    found
}

#[test]
fn planted_bugs_are_caught() {
    let healthy = child("suite none");
    assert!(healthy.status.success(), "{}", String::from_utf8_lossy(&healthy.stderr));
    for bug in ["mutant.staged_visible_before_commit", "mutant.staged_keeps_leftovers"] {
        let output = child(&format!("suite {bug}"));
        assert!(!output.status.success(), "{bug} was not caught");
    }
}
