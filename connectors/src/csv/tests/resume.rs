use super::*;
use aqueduct_model::ErrorKind;
use aqueduct_model::conformance::{SourceCase, check_source};

/// Three files with quoted line breaks, refused rows, comments and empty lines.
fn texts() -> Vec<String> {
    let rows = [40, 1, 25];
    let mut texts = Vec::new();
    for (file, rows) in rows.into_iter().enumerate() {
        let mut text = "id,name\n".to_owned();
        for row in 0..rows {
            let id = file * 1_000 + row;
            text.push_str(&match id % 7 {
                3 => format!("{id},\"a \"\"b\"\"\nc {id}\"\n"),
                4 => format!("x{id},refused\n"),
                5 => format!("# note\n\n{id},名{id}\r\n"),
                6 => format!("{id}\n"),
                _ => format!("{id},n{id}\n"),
            });
        }
        texts.push(text);
    }
    texts
}

fn all(run: &Run) -> (Vec<String>, Vec<String>) {
    let bad = run.bad.iter().map(|bad| format!("{} {}", bad.position.as_deref().unwrap(), bad.row)).collect();
    (run.rows.clone(), bad)
}

#[test]
fn resuming_at_every_position_gives_exactly_the_tail() {
    let settings = json!({"table": "t", "comment": "#", "infer_rows": 4});
    for kind in ["plain", "gzip", "zstd", "utf16", "gbk"] {
        let folder = Folder::new(&[]);
        for (i, text) in texts().iter().enumerate() {
            match kind {
                "plain" => folder.write(&format!("{i}.csv"), text.as_bytes()),
                "gzip" => folder.write(&format!("{i}.csv.gz"), &gzip(text.as_bytes())),
                "zstd" => folder.write(&format!("{i}.csv.zst"), &zstd::encode_all(text.as_bytes(), 1).unwrap()),
                "utf16" => folder.write(&format!("{i}.csv"), &[&[0xFF, 0xFE], &utf16(text)[..]].concat()),
                _ => folder.write(&format!("{i}.csv"), &encoding_rs::GBK.encode(text).0),
            }
        }
        let mut settings = settings.clone();
        if kind == "gbk" {
            settings["encoding"] = json!("gbk");
        }
        let config = || folder.settings("*.csv*", settings.clone());
        let mut whole = Run::new(config());
        whole.drain().unwrap();
        assert_eq!((whole.rows.len(), whole.bad.len()), (47, 19), "{kind}");

        let mut first = Run::new(config());
        first.max_rows = 1;
        let mut positions = vec![first.position()];
        while first.poll(None).unwrap() {
            positions.push(first.position());
            let mut tail = Run::open(config(), positions.last()).unwrap();
            tail.drain().unwrap();
            let (rows, bad) = all(&first);
            assert_eq!([rows, tail.rows.clone()].concat(), whole.rows, "{kind}");
            assert_eq!([bad, all(&tail).1].concat(), all(&whole).1, "{kind}");
            assert_eq!(tail.position(), whole.position());
        }

        // Between any two positions a replay finds what was found at first, whatever the batches.
        for (from, to) in [(0, 5), (0, 45), (7, 8), (9, 41), (20, 47), (46, 47)] {
            let mut replay = Run::open(config(), Some(&positions[from])).unwrap();
            replay.max_rows = 3;
            while replay.poll(Some(&positions[to])).unwrap() {}
            assert_eq!(replay.rows, whole.rows[from..to], "{kind} {from}..{to}");
            assert_eq!(replay.position(), positions[to], "{kind} {from}..{to}");
            assert!(!replay.poll(Some(&positions[to])).unwrap());
            replay.drain().unwrap();
            assert_eq!(replay.rows, whole.rows[from..], "{kind} {from}..");
        }
    }
}

#[test]
fn every_kind_of_file_keeps_the_promises_of_a_source() {
    let folder = Folder::new(&[]);
    for (i, text) in texts().iter().enumerate() {
        folder.write(&format!("{i}.csv"), text.as_bytes());
        folder.write(&format!("{i}.csv.gz"), &gzip(text.as_bytes()));
        folder.write(&format!("{i}.utf16"), &[&[0xFF, 0xFE], &utf16(text)[..]].concat());
    }
    for (pattern, bad_rows, settings) in [
        ("*.csv", 10, json!({"table": "t", "comment": "#"})),
        ("*.csv", 19, json!({"comment": "#", "columns": {"id": "int64", "name": "string"}, "key": ["id"]})),
        ("*.csv.gz", 10, json!({"table": "t", "comment": "#", "select": ["name"]})),
        ("*.utf16", 19, json!({"table": "t", "comment": "#", "infer_rows": 2})),
        ("*.csv", 10, json!({"table": "t", "comment": "#", "watch": true, "watch_interval": "1ms"})),
    ] {
        let name = format!("{pattern} {settings}");
        let config = folder.settings(pattern, settings);
        let case = SourceCase {
            batch_rows: 5,
            bad_rows: Some(bad_rows),
            ..SourceCase::new(&name, move || CsvInput::build(config.clone()))
        };
        assert_eq!(block(check_source(&case)).into_result().err().unwrap_or_default(), [""; 0]);
    }
}

#[test]
fn a_fresh_start_can_be_replayed_up_to_its_end() {
    let folder = Folder::new(&[("a.csv", b"id\n1\n2\n"), ("b.csv", b"id\n"), ("c.csv", b"id\n3")]);
    let config = || folder.settings("*.csv", json!({"table": "t"}));
    let mut whole = Run::new(config());
    whole.drain().unwrap();
    let end = whole.position();
    let mut replay = Run::new(config());
    while replay.poll(Some(&end)).unwrap() {}
    assert_eq!((&replay.rows, replay.position()), (&whole.rows, end));
}

#[test]
fn inferred_types_stay_with_the_position() {
    let folder = Folder::new(&[("b.csv", b"v\n1.5\n2\n")]);
    let config = || folder.settings("*.csv", json!({"table": "t"}));
    let mut first = Run::new(config());
    first.max_rows = 1;
    first.poll(None).unwrap();
    folder.write("c.csv", b"v\n7\n");
    let mut later = Run::open(config(), Some(&first.position())).unwrap();
    later.drain().unwrap();
    assert_eq!(later.rows, ["t: 2.0", "t: 7.0"]);
}

#[test]
fn a_bounded_run_that_is_repeated_reads_new_files_only() {
    let folder = Folder::new(&[("a.csv", b"id\n1\n")]);
    let config = || folder.settings("*.csv", json!({"table": "t"}));
    let mut first = Run::new(config());
    first.drain().unwrap();
    folder.write("b.csv", b"id\n2\n");
    let mut second = Run::open(config(), Some(&first.position())).unwrap();
    second.drain().unwrap();
    assert_eq!(second.rows, ["t: 2"]);
}

#[test]
fn a_file_that_is_not_the_one_is_a_lost_position() {
    let started = |folder: &Folder| {
        let mut run = Run::new(folder.settings("*.csv", json!({})));
        run.max_rows = 2;
        run.poll(None).unwrap();
        run.position()
    };
    let lost = |folder: &Folder, position: &Position| {
        let outcome = Run::open(folder.settings("*.csv", json!({})), Some(position)).and_then(|mut run| run.drain());
        let problem = outcome.unwrap_err();
        assert_eq!(problem.kind(), ErrorKind::LostPosition, "{problem:?}");
        assert!(problem.to_string().contains("a.csv") && problem.hint().is_some());
    };
    let new = || Folder::new(&[("a.csv", b"id\n1\n2\n3\n")]);

    let folder = new();
    let position = started(&folder);
    folder.write("a.csv", b"id\n9\n");
    lost(&folder, &position);

    let folder = new();
    let position = started(&folder);
    folder.write("b", b"id\n1\n2\n3\n");
    rename(&folder.path("b"), &folder.path("a.csv"));
    lost(&folder, &position);

    let folder = new();
    let position = started(&folder);
    fs::remove_file(folder.path("a.csv")).unwrap();
    lost(&folder, &position);

    let folder = Folder::new(&[("a.csv.gz", &gzip(b"id\n1\n2\n3\n"))]);
    let mut run = Run::new(folder.settings("*.gz", json!({})));
    run.max_rows = 3;
    run.poll(None).unwrap();
    let position = run.position();
    let problem = {
        folder.write("a.csv.gz", &gzip(b"id\n1\n"));
        Run::open(folder.settings("*.gz", json!({})), Some(&position)).and_then(|mut run| run.drain())
    };
    assert_eq!(problem.unwrap_err().kind(), ErrorKind::LostPosition);
}

#[test]
fn foreign_positions_are_refused() {
    let folder = Folder::new(&[("a.csv", b"id\n1\n")]);
    for position in [Position::single("", json!({"row": 3})), Position::single("a.csv", json!({"offset": "x"}))] {
        let problem = Run::open(folder.settings("a.csv", json!({})), Some(&position)).err().unwrap();
        assert_eq!(problem.kind(), ErrorKind::State);
    }
}
