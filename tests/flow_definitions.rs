//! Promise: a bad flow file is answered with path, line, column, cause and fix before anything starts.
//!
//! The corpus is `tests/bad_flows`; `expected.txt` there says what is expected of each file. What is too large to be
//! checked in is made here.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aqueduct_engine::definition::{Diagnostic, Diagnostics};
use aqueduct_engine::planner::{PlanOptions, Planned, plan_file, plan_text};
use aqueduct_model::Catalogue;

fn catalogue() -> Catalogue {
    aqueduct::catalogue().expect("the catalogue is sound")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_flows")
}

/// One line of `expected.txt`.
struct Expected<'t> {
    file: &'t str,
    line: usize,
    column: usize,
    cause: &'t str,
    fix: &'t str,
}

fn expected(table: &str) -> Vec<Expected<'_>> {
    let row = |row| {
        let cells: Vec<&str> = str::split(row, '|').map(str::trim).collect();
        let [file, line, column, cause, fix] = cells[..] else { panic!("five cells: {row}") };
        Expected { file, line: line.parse().expect("a line"), column: column.parse().expect("a column"), cause, fix }
    };
    table.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

/// Every diagnostic says where, what and what to do.
fn assert_complete(found: &Diagnostics, path: &str) {
    assert!(found.has_errors(), "{path} was refused without an error");
    for diagnostic in &found.0 {
        let Diagnostic { line, column, message, hint, .. } = diagnostic;
        assert!(*line > 0 && *column > 0 && !message.is_empty() && !hint.is_empty(), "{diagnostic:?}");
        assert!(diagnostic.path.ends_with(path), "{diagnostic:?}");
        assert!(!message.ends_with('.') && !message.contains("Error("), "{message}");
        let text = diagnostic.to_string();
        assert!(text.contains(&format!("{path}:{line}:{column}: ")) && text.contains("help: "), "{text}");
    }
}

#[test]
fn every_bad_flow_is_answered_by_path_line_column_cause_and_fix() {
    let table = std::fs::read_to_string(folder().join("expected.txt")).expect("the table of expected answers");
    let (catalogue, rows) = (catalogue(), expected(&table));
    assert!(rows.len() >= 120, "the corpus has {} files", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        let found = match plan_file(&folder().join(row.file), &catalogue, &PlanOptions::default()) {
            Err(found) => found,
            Ok(_) => {
                wrong.push(format!("{} was accepted", row.file));
                continue;
            }
        };
        assert_complete(&found, row.file);
        let fits = |d: &Diagnostic| {
            (d.line, d.column) == (row.line, row.column) && d.message.contains(row.cause) && d.hint.contains(row.fix)
        };
        if !found.0.iter().any(fits) {
            let Expected { file, line, column, cause, fix } = row;
            wrong.push(format!("expected {file}:{line}:{column}: {cause} … {fix}, found\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), rows.len(), wrong.join("\n\n"));
}

#[test]
fn the_table_names_every_file_of_the_corpus() {
    let table = std::fs::read_to_string(folder().join("expected.txt")).expect("the table of expected answers");
    let mut named: Vec<String> = expected(&table).iter().map(|row| row.file.to_owned()).collect();
    let names = std::fs::read_dir(folder()).expect("the corpus").map(|file| file.expect("a file").file_name());
    let mut present: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    present.retain(|name| name != "expected.txt");
    named.sort();
    present.sort();
    assert_eq!(named, present);
}

#[test]
fn a_file_of_10_mb_is_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, first) in [("big.yaml", "flow: x\n#"), ("big.json", "{\"flow\": \""), ("big.xml", "<flow name=\"")] {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{first}{}", "x".repeat(10_000_000))).expect("written");
        let started = Instant::now();
        let found = plan_file(&path, &catalogue(), &PlanOptions::default()).expect_err("it is too large");
        assert!(started.elapsed() < Duration::from_secs(1), "the size is looked at before the content");
        assert_complete(&found, name);
        assert!(found.0[0].message.contains("larger than 1024 KiB"), "{found}");
    }
}

#[test]
fn a_depth_of_10_000_is_refused_without_overflowing_the_stack() {
    const DEPTH: usize = 10_000;
    let yaml_block: String = (0..600).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    let files = [
        ("deep.yaml", format!("flow: {}1{}", "[".repeat(DEPTH), "]".repeat(DEPTH))),
        ("deep_map.yaml", format!("flow: {}1{}", "{a: ".repeat(DEPTH), "}".repeat(DEPTH))),
        ("deep_block.yaml", yaml_block),
        ("deep_dashes.yaml", "- ".repeat(DEPTH)),
        ("deep.json", format!("{{\"flow\": {}1{}}}", "[".repeat(DEPTH), "]".repeat(DEPTH))),
        ("deep_map.json", format!("{}1{}", "{\"a\": ".repeat(DEPTH), "}".repeat(DEPTH))),
        ("deep.xml", format!("<flow>{}{}</flow>", "<a>".repeat(DEPTH), "</a>".repeat(DEPTH))),
        ("deep_open.xml", "<flow>".repeat(DEPTH)),
    ];
    for (name, text) in files {
        let found = plan_text(name, &text, &catalogue(), &PlanOptions::default()).expect_err("it is too deep");
        assert_complete(&found, name);
        assert!(found.0.iter().any(|d| d.message.contains("deeper than 64 levels")), "{name}: {found}");
    }
}

#[test]
fn a_good_flow_is_planned_alike_from_all_three_formats() {
    let yaml = "flow: x\nparams: { n: 5 }\ntasks:\n  - { id: a, plugin: FakerInput, config: { dataset: orders, rows: \
                '${params.n}' } }\n  - { id: z, plugin: ConsoleOutput, from: a }\n";
    let json = r#"{"flow": "x", "params": {"n": 5}, "tasks": [
        {"id": "a", "plugin": "FakerInput", "config": {"dataset": "orders", "rows": "${params.n}"}},
        {"id": "z", "plugin": "ConsoleOutput", "from": "a"}]}"#;
    let xml = r#"<flow name="x"><params n="5"/><tasks>
        <task id="a" plugin="FakerInput"><config dataset="orders" rows="${params.n}"/></task>
        <task id="z" plugin="ConsoleOutput" from="a"/></tasks></flow>"#;
    let options = PlanOptions { params: [("n".to_owned(), "7".to_owned())].into(), ..PlanOptions::default() };
    let plans = [("x.yaml", yaml), ("x.json", json), ("x.xml", xml)].map(|(path, text)| {
        let Planned { plan, .. } =
            plan_text(path, text, &catalogue(), &options).unwrap_or_else(|found| panic!("{found}"));
        let tasks = plan.tasks.iter().map(|task| (task.id.clone(), task.entry.name, task.config.clone()));
        tasks.collect::<Vec<_>>()
    });
    assert_eq!(plans[0][0].2["rows"], 7);
    assert!(plans.iter().all(|plan| *plan == plans[0]));
}

#[test]
fn every_example_of_the_catalogue_is_planned() {
    let catalogue = catalogue();
    for entry in catalogue.entries() {
        let path = format!("{}.yaml", entry.name);
        if let Err(found) = plan_text(&path, entry.example, &catalogue, &PlanOptions::default()) {
            panic!("{found}");
        }
    }
}
