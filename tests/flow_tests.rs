//! Promise: `aqueduct test` runs a flow's operators on what a test gives, through checkpoints and kills, and shows every
//! difference; a mistake in a test is answered by path, line, column, cause and fix.

use crate::harness::{Finished, Work};

/// Orders of a shop by region, and those that are large.
const FLOW: &str = "flow: shop
params: { limit: 100 }
tasks:
  - { id: orders, plugin: CdcInput, config: { engine: sqlite, path: nowhere.db, tables: [orders] } }
  - { id: large, plugin: Filter, from: orders, config: { where: \"amount >= ${params.limit}\" } }
  - { id: totals, plugin: Group, from: orders, config: { by: [region], totals: { total: sum(amount) } } }
  - { id: store_large, plugin: SQLiteOutput, from: large, config: { path: nowhere.db } }
  - { id: store_totals, plugin: SQLiteOutput, from: totals, config: { path: nowhere.db } }
";

/// A folder with the flow and these tests beside it.
fn with_tests(tests: &str) -> Work {
    let work = Work::with_flow(FLOW);
    work.write("flow.test.yaml", format!("tests:\n{tests}"));
    work
}

fn run(work: &Work, arguments: &[&str]) -> Finished {
    work.aqueduct(&[&["test"], arguments].concat())
}

const CHANGES: &str = "  - name: totals follow every change
    given:
      - { rows: [{ id: 1, region: north, amount: 120 }, { id: 2, region: south, amount: 80 }] }
      - checkpoint
      - { changes: [{ update: { id: 2, region: north } }, { insert: { id: 3, region: south, amount: 5 } }] }
      - restart
      - { changes: [{ delete: { id: 1 } }, { upsert: { id: 3, amount: 7 } }] }
      - checkpoint
      - restart
    expect:
      store_large: []
      store_totals: [{ region: north, total: 80 }, { region: south, total: 7 }]
";

#[test]
fn totals_are_exact_through_changes_checkpoints_and_kills() {
    let work = with_tests(&CHANGES.replace("upsert: { id: 3, amount: 7 }", "update: { id: 3, amount: 7 }"));
    let passed = run(&work, &[]).ok();
    assert!(passed.stdout.contains("ok     ./flow.test.yaml: totals follow every change ("), "{}", passed.stdout);
    assert!(
        passed.stdout.contains("coverage ./flow.yaml: 6 of 6 ways saw rows\n1 tests, 0 failed"),
        "{}",
        passed.stdout
    );
    assert!(!work.file(".aqueduct").exists() && !work.file("nowhere.db").exists() && passed.stderr.is_empty());
}

#[test]
fn differences_are_shown_as_rows_and_written_by_update() {
    let tests = "  # A comment that stays.
  - name: wrong in three ways
    given:
      - { rows: [{ id: 1, region: north, amount: 120 }, { id: 2, region: \"no: 7\", amount: 80 }] }
    expect:
      store_large: [{ id: 9, amount: 1 }]
      store_totals:
        - { region: north, total: 121 }
        - { region: \"no: 7\", total: 80 }

    # And another one.
  - name: right
    given: [{ rows: [{ id: 1, region: north, amount: 1 }] }]
    expect_changes: { large: [] }
";
    let work = with_tests(tests);
    let failed = run(&work, &[]);
    assert_eq!(failed.code, Some(1), "{}", failed.stdout);
    let shown = "FAILED ./flow.test.yaml: wrong in three ways (";
    let table = "       store_totals: expected 2 rows, got 2
           region  total
         - north   121
         + north   120
";
    assert!(failed.stdout.contains(shown) && failed.stdout.contains(table), "{}", failed.stdout);
    assert!(failed.stdout.contains("2 tests, 1 failed; - expected, + got"), "{}", failed.stdout);
    run(&work, &["--update"]).ok();
    let text = std::fs::read_to_string(work.file("flow.test.yaml")).expect("the file");
    for kept in
        ["  # A comment that stays.\n", "    # And another one.\n", "- { region: north, total: 120 }", "\"no: 7\""]
    {
        assert!(text.contains(kept), "{kept}: {text}");
    }
    assert!(text.contains("      store_large:\n        - { id: 1, region: north, amount: 120 }\n"), "{text}");
    run(&work, &[]).ok();
}

#[test]
fn a_test_that_expects_nothing_is_filled_by_update() {
    let work = with_tests("  - name: new\n    given:\n      - { rows: [{ id: 1, region: north, amount: 120 }] }\n");
    let warned = run(&work, &[]).ok();
    assert!(
        warned.stderr.contains("flow.test.yaml:2:5: warning[config]: the test expects nothing"),
        "{}",
        warned.stderr
    );
}

#[test]
fn junit_filter_and_coverage() {
    let tests = "  - name: the <first>
    given: [{ rows: [{ id: 1, region: north, amount: 1 }] }]
    expect: { store_totals: [{ region: north, total: 2 }] }
  - name: the second
    given: [{ rows: [{ id: 1, region: north, amount: 1 }] }]
    expect: { store_totals: [{ region: north, total: 1 }] }
";
    let work = with_tests(tests);
    let failed = run(&work, &["flow.yaml", "--junit", "results.xml"]);
    assert_eq!(failed.code, Some(1));
    let coverage = "coverage flow.yaml: 4 of 6 ways saw rows\n  never: large, store_large\n";
    assert!(failed.stdout.contains(coverage), "{}", failed.stdout);
    let xml = std::fs::read_to_string(work.file("results.xml")).expect("the results");
    assert!(xml.contains("<testsuites name=\"aqueduct\" tests=\"2\" failures=\"1\""), "{xml}");
    assert!(
        xml.contains("name=\"the &lt;first&gt;\"") && xml.contains("<failure message=\"store_totals: expected"),
        "{xml}"
    );
    let filtered = run(&work, &["flow.test.yaml", "--filter", "SECOND"]).ok();
    assert!(filtered.stdout.contains("1 tests, 0 failed"), "{}", filtered.stdout);
    let none = run(&work, &["--filter", "third"]);
    assert_eq!(none.code, Some(2), "a run that tests nothing is a failure");
}

#[test]
fn bad_rows_and_errors_are_expected_or_failures() {
    let flow = "flow: casts
tasks:
  - { id: rows, plugin: CSVInput, config: { path: nowhere.csv } }
  - { id: one, plugin: Function, from: rows, on_bad_row: dead_letter, config: { columns: { n: \"cast(text as int)\" } } }
  - { id: store, plugin: SQLiteOutput, from: one, config: { path: nowhere.db, mode: append } }
tests:
  - name: a text that is no number goes aside
    given: [{ rows: [{ id: 1, text: \"7\" }, { id: 2, text: seven }] }]
    expect: { store: [{ id: 1, n: 7 }] }
    bad_rows: [{ task: one, reason: \"n\", row: { id: 2 } }]
  - name: a bad row that nobody expects
    given: [{ rows: [{ id: 2, text: seven }] }]
    expect: { store: [] }
";
    let work = Work::with_flow(flow);
    let ran = run(&work, &["flow.yaml"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    assert!(ran.stdout.contains("ok     flow.yaml: a text that is no number goes aside"), "{}", ran.stdout);
    assert!(ran.stdout.contains("bad rows differ") && ran.stdout.contains("+ one"), "{}", ran.stdout);
    work.write("flow.yaml", flow.replace("on_bad_row: dead_letter, ", ""));
    let ran = run(&work, &["flow.yaml", "--filter", "nobody"]);
    assert!(ran.code == Some(1) && ran.stdout.contains("error[data]: a row of rows was refused"), "{}", ran.stdout);
    let expected = flow.replace("on_bad_row: dead_letter, ", "").replace("expect: { store: [] }", "error: was refused");
    work.write("flow.yaml", expected);
    run(&work, &["flow.yaml", "--filter", "nobody"]).ok();
    assert!(!work.file(".aqueduct").exists());
}

#[test]
fn ddl_reaches_operators_and_targets() {
    let work = with_tests(
        "  - name: a column comes, is filled and goes
    given:
      - { rows: [{ id: 1, region: north, amount: 120 }] }
      - { ddl: { add_columns: { note: string } } }
      - { changes: [{ update: { id: 1, note: gift } }, { insert: { id: 2, region: south, amount: 300, note: \"\" } }] }
      - checkpoint
      - restart
      - { ddl: { rename_column: { note: remark } } }
    expect:
      store_large: [{ id: 1, remark: gift }, { id: 2, remark: \"\" }]
    expect_changes:
      large: [{ insert: { id: 1 } }, { ddl: add_columns }, { update: { before: { note: null }, after: { note: gift } } }, { insert: { id: 2 } }, { ddl: rename_column }]
  - name: an emptied table is empty
    given: [{ rows: [{ id: 1, region: north, amount: 120 }] }, { ddl: { truncate: true } }]
    expect: { store_large: [], store_totals: [] }
",
    );
    run(&work, &[]).ok();
}

#[test]
fn types_are_inferred_or_declared_and_values_are_never_bent() {
    let work = with_tests(
        "  - name: exact decimals and dates
    tables: [{ columns: { id: int64, region: string, amount: \"decimal(12,2)\", day: date } }]
    given: [{ rows: [{ id: 1, region: north, amount: 12345678.90, day: 2024-02-29 }] }]
    expect:
      store_large: [{ amount: 12345678.9, day: 2024-02-29 }]
      store_totals: [{ total: 12345678.90 }]
",
    );
    run(&work, &[]).ok();
    let bent = std::fs::read_to_string(work.file("flow.test.yaml"))
        .expect("the tests")
        .replace("amount: 12345678.90,", "amount: 1.005,");
    work.write("flow.test.yaml", bent);
    let refused = run(&work, &[]);
    assert_eq!(refused.code, Some(2), "{}", refused.stdout);
    assert!(
        refused.stdout.contains("flow.test.yaml:4:54: error[config]: `amount`: the value has more digits"),
        "{}",
        refused.stdout
    );
    assert!(refused.stdout.contains("help: "), "{}", refused.stdout);
}

#[test]
fn a_source_gives_what_its_plugin_gives() {
    let work = Work::with_flow(&FLOW.replace(
        "CdcInput, config: { engine: sqlite, path: nowhere.db, tables: [orders] }",
        "CSVInput, config: { path: x.csv }",
    ));
    work.write(
        "flow.test.yaml",
        "tests:\n  - { name: a, given: [{ changes: [{ insert: { id: 1 } }] }], expect: {} }\n",
    );
    let refused = run(&work, &[]);
    assert_eq!(refused.code, Some(2), "{}", refused.stdout);
    assert!(
        refused.stdout.contains("flow.test.yaml:2:26: error[config]: CSVInput gives new rows only"),
        "{}",
        refused.stdout
    );
}

/// The keys of a test with one mistake at `¦`, and what is said of it: cause and fix. Without `¦` the test itself is meant.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("given: [], ¦expcet: {}", "unknown key `expcet`", "did you mean `expect`?"),
    ("expect: {}", "the key `given` is missing", "add `given`"),
    ("given: ¦7, expect: {}", "`given` must be a list", "checkpoint"),
    ("given: [¦stop], expect: {}", "a step cannot be the text \"stop\"", "`checkpoint`, `restart`"),
    ("given: [{ ¦row: [] }], expect: {}", "unknown key `row`", "did you mean `rows`?"),
    ("given: [{ source: ¦odrers, rows: [] }], expect: {}", "no source `odrers`", "did you mean `orders`?"),
    ("given: [{ rows: [¦1] }], expect: {}", "rows are a list of maps", "write `- {"),
    ("given: [{ rows: [[id], ¦[1, 2]] }], expect: {}", "2 values for 1 columns", "each of: id"),
    ("given: [{ changes: [{ delete: ¦{ id: 4 } }] }], expect: {}", "no row with this key", "insert it"),
    ("given: [{ rows: [{ id: ¦[1] }] }], expect: {}", "a column holds one value", "as text"),
    ("given: [¦{ rows: [{ id: null }] }], expect: {}", "a row has no `id`", "key: []"),
    ("given: [¦{ rows: [], ddl: {} }], expect: {}", "one of `rows`, `changes` and `ddl`", "step of its own"),
    ("tables: [{ columns: { id: ¦in } }], given: [], expect: {}", "not the type of a column", "int64"),
    ("given: [], expect: { ¦stor: [] }", "no task `stor`", "store_large"),
    ("given: [], expect: { ¦large.no: [] }", "no port `no`", "its ports are: out"),
    ("given: [], expect: { ¦store_large.out: [] }", "has no ports", "write `store_large`"),
    ("given: [{ rows: [{ id: 1 }] }, { ddl: { drop_columns: ¦[x] } }], expect: {}", "no column `x`", "id"),
];

#[test]
fn every_mistake_in_a_test_is_answered_by_place_cause_and_fix() {
    let mut wrong = Vec::new();
    for (text, cause, fix) in MISTAKES {
        let head = "  - { name: a, ";
        let column = text.split_once('¦').map_or(5, |(before, _)| head.len() + before.len() + 1);
        let work = with_tests(&format!("{head}{} }}\n", text.replace('¦', "")));
        let refused = run(&work, &["flow.test.yaml"]);
        let said = format!("{}{}", refused.stdout, refused.stderr);
        let fits =
            said.contains(&format!("flow.test.yaml:2:{column}: error")) && said.contains(cause) && said.contains(fix);
        if refused.code != Some(2) || !fits {
            wrong.push(format!("{text}: expected column {column}, {cause} … {fix}, code {:?}\n{said}", refused.code));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_parameter_that_the_flow_does_not_have_is_refused() {
    let work = with_tests("  - { name: a, given: [], params: { limt: 1 }, expect: {} }\n");
    let refused = run(&work, &[]);
    assert_eq!(refused.code, Some(2), "{}", refused.stdout);
    assert!(refused.stdout.contains("did you mean `limit`?"), "{}", refused.stdout);
}

#[test]
fn secrets_of_the_environment_are_not_shown() {
    let flow = FLOW.replace("amount >= ${params.limit}", "region <> '${env:HIDDEN}'");
    let work = Work::with_flow(&flow);
    work.write("flow.test.yaml", "tests:\n  - { name: a, given: [{ rows: [{ id: 1, region: topsecret1, amount: 1 }] }], expect: { store_totals: [] } }\n");
    let failed = work.aqueduct_with(&["test", "--junit", "x.xml"], &[("HIDDEN", "topsecret1")]);
    assert_eq!(failed.code, Some(1));
    let xml = std::fs::read_to_string(work.file("x.xml")).expect("the results");
    assert!(
        !failed.stdout.contains("topsecret1") && failed.stdout.contains("***") && !xml.contains("topsecret1"),
        "{}",
        failed.stdout
    );
}
