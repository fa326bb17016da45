//! Rows that cannot be handled: fail with file and line, drop, or keep exactly once.

use crate::harness::Work;

fn flow(policy: &str) -> String {
    format!(
        "flow: flow\ntasks:\n  - {{ id: rows, plugin: CSVInput, on_bad_row: {policy}, config: {{ path: rows.csv, columns: {{ id: int64, amount: int64 }} }} }}\n  - {{ id: store, plugin: SQLiteOutput, from: rows, config: {{ path: out.db }} }}\n"
    )
}

/// 1,000 rows, every hundredth of them bad.
fn rows() -> String {
    let mut text = String::from("id,amount\n");
    for id in 1..=1_000 {
        text.push_str(&if id % 100 == 0 { format!("{id},many\n") } else { format!("{id},{}\n", id * 2) });
    }
    text
}

fn stored(work: &Work) -> i64 {
    let connection = rusqlite::Connection::open(work.file("out.db")).expect("a database");
    connection.query_row("SELECT count(*) FROM rows", [], |row| row.get(0)).unwrap_or(0)
}

fn dead_letters(work: &Work) -> Vec<serde_json::Value> {
    let folder = work.file(".aqueduct/flow/dead_letters");
    let mut letters = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("text");
        letters.extend(text.lines().map(|line| serde_json::from_str(line).expect("JSON lines")));
    }
    letters
}

#[test]
fn fail_names_file_line_and_what_to_do_and_writes_nothing_of_the_epoch() {
    let work = Work::with_flow(&flow("fail"));
    work.write("rows.csv", rows());
    let ran = work.aqueduct(&["run", "flow.yaml"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    for part in ["rows.csv", "101", "rows", "on_bad_row: dead_letter"] {
        assert!(ran.stderr.contains(part), "{part} is missing: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("many"), "a cell's value reached the log: {}", ran.stderr);
    assert_eq!(stored(&work), 0);
}

#[test]
fn dead_letters_and_rows_together_are_all_rows() {
    let work = Work::with_flow(&flow("dead_letter"));
    work.write("rows.csv", rows());
    work.aqueduct(&["run", "flow.yaml"]).ok();
    let letters = dead_letters(&work);
    assert_eq!((stored(&work), letters.len()), (990, 10));
    for letter in &letters {
        assert!(letter["position"].as_str().is_some_and(|position| position.contains("rows.csv")), "{letter}");
        assert!(letter["row"].to_string().contains("many") && letter["task"] == "rows", "{letter}");
    }
    // Mended rows that come again are read; the dead letters stay as they are.
    work.aqueduct(&["run", "flow.yaml"]).ok();
    assert_eq!((stored(&work), dead_letters(&work).len()), (990, 10));
}

#[test]
fn drop_counts() {
    let work = Work::with_flow(&flow("drop"));
    work.write("rows.csv", rows());
    let ran = work.aqueduct(&["run", "flow.yaml"]).ok();
    assert_eq!((stored(&work), dead_letters(&work).len()), (990, 0));
    assert!(ran.stderr.contains("10 bad rows"), "{}", ran.stderr);
}

#[test]
fn a_flood_stops_the_flow() {
    let text = flow("dead_letter").replace("on_bad_row: dead_letter", "on_bad_row: dead_letter, max_bad_rows: 5");
    let work = Work::with_flow(&text);
    work.write("rows.csv", rows());
    let ran = work.aqueduct(&["run", "flow.yaml"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("max_bad_rows"), "{}", ran.stderr);
}
