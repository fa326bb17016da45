//! Recorded logs, replayed, against what their servers held.

use std::collections::BTreeMap;

use aqueduct_model::ErrorKind;
use chrono::NaiveDate;

use super::fixtures::{FIXTURES, Fixture};
use super::replay::Replay;

/// A table of a fixture: columns as name and type, rows.
type Expected = (Vec<(String, String)>, Vec<Vec<String>>);

fn expected(fixture: &Fixture) -> BTreeMap<String, Expected> {
    let mut tables = BTreeMap::new();
    let mut lines = fixture.rows.lines().peekable();
    while let Some(line) = lines.next() {
        let name = line.strip_prefix("# ").unwrap().to_owned();
        let columns: Vec<(String, String)> = lines
            .next()
            .unwrap()
            .split('\t')
            .map(|column| column.split_once(':').map(|(name, of)| (name.to_owned(), of.to_owned())).unwrap())
            .collect();
        let mut rows = Vec::new();
        while let Some(row) = lines.next_if(|line| !line.starts_with("# ")) {
            if !row.is_empty() {
                let cells = row.split('\t').zip(&columns).map(|(cell, (_, of))| normal(cell, of)).collect();
                rows.push(cells);
            }
        }
        tables.insert(name, (columns, rows));
    }
    tables
}

/// What a server prints, as the replay prints it.
fn normal(cell: &str, declared: &str) -> String {
    let base = declared.split(['(', ' ']).next().unwrap();
    let is_date = |text: &str| text.get(..10).is_some_and(|date| date.parse::<NaiveDate>().is_ok());
    match base {
        _ if cell == "NULL" => cell.to_owned(),
        "float" | "double" => format!("{:?}", cell.parse::<f64>().unwrap()),
        "date" | "datetime" | "timestamp" if !is_date(cell) => "NULL".to_owned(),
        "year" => cell.parse::<u16>().unwrap().to_string(),
        _ => cell.to_owned(),
    }
}

/// The server prints FLOAT(m,d) and DOUBLE(m,d) with d digits of a fraction, and keeps more.
fn rounded(cell: &str, declared: &str) -> String {
    let digits = match declared.split_once(',') {
        Some((of, digits)) if of.starts_with("float") || of.starts_with("double") => digits.trim_end_matches(')'),
        _ => return cell.to_owned(),
    };
    match (cell.parse::<f64>(), digits.parse()) {
        (Ok(number), Ok(digits)) => format!("{:?}", format!("{number:.digits$}").parse::<f64>().unwrap()),
        _ => cell.to_owned(),
    }
}

/// Every cell that is not what the server says.
fn compare(fixture: &Fixture, replay: &Replay) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, (columns, rows)) in expected(fixture) {
        let at = format!("{}: {name}", fixture.name);
        let (relation, got) = replay
            .relations
            .iter()
            .find(|(known, _)| known.table == name)
            .map(|(known, relation)| (relation, replay.rows[known].clone()))
            .unwrap_or_else(|| panic!("{at} is not known"));
        let names: Vec<&str> = relation.columns().fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), "{at}");
        assert_eq!(got.len(), rows.len(), "{at}: {got:?} {rows:?}");
        let (mut got, mut rows) = (got, rows);
        got.sort();
        rows.sort();
        for (got, row) in got.iter().zip(&rows) {
            for (i, (got, want)) in got.iter().zip(row).enumerate() {
                let (got, want) = (rounded(got, &columns[i].1), rounded(want, &columns[i].1));
                if got != want && got != "?" {
                    wrong.push(format!("{at}.{} of row {:?}: {got} is not {want}", names[i], row[0]));
                }
            }
        }
    }
    wrong
}

#[test]
fn every_value_of_every_recorded_log_is_what_the_server_says() {
    for fixture in
        FIXTURES.iter().filter(|fixture| !fixture.name.contains("partial") && !fixture.name.contains("statements"))
    {
        let mut replay = Replay::default();
        replay.run(&fixture.events()).unwrap_or_else(|error| panic!("{}: {error:?}", fixture.name));
        assert_eq!(replay.dml, Vec::<&str>::new(), "{}", fixture.name);
        assert_eq!(compare(fixture, &replay), Vec::<String>::new());
    }
}

#[test]
fn changes_inside_json_documents_are_refused_by_the_name_of_their_setting() {
    let error = Replay::default().run(&Fixture::of("mysql_partial_json").events()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.hint().unwrap().contains("binlog_row_value_options"), "{error:?}");
}

#[test]
fn dml_that_is_logged_as_a_statement_is_seen() {
    for name in ["mysql_statements", "maria_statements"] {
        let mut replay = Replay::default();
        replay.run(&Fixture::of(name).events()).unwrap();
        assert_eq!(replay.dml, ["INSERT"], "{name}");
        assert!(replay.kinds.iter().any(|kind| kind == "StatementContext"));
    }
}
