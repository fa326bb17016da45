use super::*;
use aqueduct_model::conformance::{SourceCase, check_source};

const KINDS: [&str; 3] = ["bid", "auction", "person"];

fn lines(count: usize) -> String {
    let bad = |i: usize| if i.is_multiple_of(53) { "x" } else { "" };
    let line = |i: usize| format!("{}{{\"kind\":\"{}\",\"n\":{i},\"s\":\"a\\n{i}\"}}\n", bad(i), KINDS[i * i % 3]);
    (0..count).map(line).collect()
}

fn by_kind() -> Value {
    let table = json!({ "columns": { "n": "int64", "s": "string" } });
    json!({ "table": "{kind}", "tables": { "bid": table, "auction": table, "person": table } })
}

#[test]
fn the_conformance_suite_holds() {
    let text = lines(700);
    let (first, second) = text.split_at(text.find("{\"kind\":\"auction\",\"n\":400").unwrap());
    let zstd = zstd::encode_all(second.as_bytes(), 1).unwrap();
    let folder = Folder::new(&[("a.jsonl", first.as_bytes()), ("b.jsonl.zst", &zstd)]);
    for more in [json!({ "table": "t" }), by_kind(), json!({ "columns": { "n": "int16" } })] {
        let config = folder.settings("*", more.clone());
        let build =
            move || Ok(Box::new(TextSource::new(JsonTables::with_parted(config.clone(), 50)?)) as Box<dyn Source>);
        let mut case = SourceCase::new(&more.to_string(), build);
        case.bad_rows = Some(14);
        block(check_source(&case)).into_result().unwrap();
    }
}

#[test]
fn no_epoch_ends_between_the_tables_of_one_read() {
    let folder = Folder::new(&[("a.jsonl", b"{\"kind\":\"bid\",\"n\":1}\n{\"kind\":\"person\",\"n\":2}\n")]);
    let mut run = Run::open(folder.settings("a.jsonl", by_kind()), None).unwrap();
    assert!(run.poll(None).unwrap());
    assert_eq!(run.source.position(), None);
    assert!(run.poll(None).unwrap());
    assert!(run.source.position().is_some() && !run.poll(None).unwrap());
}

#[test]
fn appended_lines_are_read_and_replayed_exactly() {
    let folder = Folder::new(&[]);
    let watching = || {
        let mut settings = by_kind();
        settings["watch"] = true.into();
        settings["watch_interval"] = "1ms".into();
        folder.settings("*.jsonl", settings)
    };
    let text = lines(60);
    let mut first = Run::open(watching(), None).unwrap();
    let mut marks = vec![(0, first.source.position().unwrap())];
    for (i, piece) in text.as_bytes().chunks(97).enumerate() {
        folder.append("a.jsonl", piece);
        if i == 3 {
            folder.append("b.jsonl", b"{\"kind\":\"bid\",\"n\":1000}\n");
        }
        first.drain().unwrap();
        marks.push((first.rows.len(), first.source.position().unwrap()));
    }
    assert_eq!((first.rows.len(), first.bad.len()), (59, 2));
    // Lines of one file keep their order; which file grew when is not part of a position.
    let of_a = |rows: &[String]| rows.iter().filter(|row| !row.contains("|NULL")).cloned().collect::<Vec<_>>();
    for (i, (from, resume)) in marks.iter().enumerate() {
        for (to, until) in &marks[i..] {
            let mut replay = Run::open(watching(), Some(resume)).unwrap();
            while replay.source.position().as_ref() != Some(until) {
                replay.poll(Some(until)).unwrap();
            }
            assert_eq!(replay.rows.len(), to - from);
            assert_eq!(of_a(&replay.rows), of_a(&first.rows[*from..*to]));
        }
    }
}

#[test]
fn inferred_types_stay_after_a_restart() {
    let folder = Folder::new(&[("a.jsonl", b"{\"n\":1}\n{\"n\":2}\n")]);
    let mut run = Run::open(folder.settings("*", json!({ "table": "t" })), None).unwrap();
    run.drain().unwrap();
    fs::write(folder.path("b.jsonl"), "{\"n\":\"text\"}\n{\"n\":3}\n").unwrap();
    let mut later = Run::open(folder.settings("*", json!({ "table": "t" })), run.source.position().as_ref()).unwrap();
    later.drain().unwrap();
    assert_eq!((later.rows, later.bad.len()), (vec!["t: 3".to_owned()], 1));
}
