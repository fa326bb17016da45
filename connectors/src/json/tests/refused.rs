use super::*;
use aqueduct_model::ErrorKind;

#[test]
fn bad_lines_carry_their_place_and_reason_and_the_next_ones_are_read() {
    let lines = b"{\"id\":1,\"n\":2}\n{\"id\":2\n[1]\n\n{\"id\":3,\"n\":1.5}\n{\"id\":null}\n{\"id\":4,\"id\":5}\n{\"id\":6}{}\n{\"id\":7,\"s\":\"\xff\"}\n{\"id\":8,\"n\":\"\"}\n{\"id\":9,\"s\":\"\\ud800\"}\nx\n{\"id\":10,\"o\":5}\n{\"id\":11}";
    let folder = Folder::new(&[("a.jsonl", lines)]);
    let settings = json!({
        "columns": { "id": "int64", "n": "int64", "s": "string", "p": "string" }, "paths": { "p": "o.p" }, "key": ["id"],
    });
    let (rows, bad) = read_all(&folder, "a.jsonl", settings);
    assert_eq!(rows, ["a: 1|2|NULL|NULL", "a: 11|NULL|NULL|NULL"]);
    assert_eq!(
        bad,
        [
            "a.jsonl line 2: it is not JSON: the line ends before the object does",
            "a.jsonl line 3: it is not JSON: the line is not an object",
            "a.jsonl line 5: column n is not of type int64",
            "a.jsonl line 6: key column id is empty",
            "a.jsonl line 7: it has the field id twice",
            "a.jsonl line 8: it is not JSON: something stands behind the object",
            "a.jsonl line 9: it is not valid in the file's encoding",
            "a.jsonl line 10: column n is not of type int64",
            "a.jsonl line 11: it is not JSON: a string holds an escape \\u that is no character",
            "a.jsonl line 12: it is not JSON: the line is not an object",
            "a.jsonl line 13: field o is not an object",
        ]
    );
}

#[test]
fn lines_of_unknown_tables_are_refused_or_left_out() {
    let folder = Folder::new(&[(
        "a.jsonl",
        b"{\"t\":\"x\",\"a\":1}\n{\"t\":\"y\",\"a\":2}\n{\"a\":3}\n{\"t\":\"x\",\"a\":\"no\"}\n",
    )]);
    let settings = |others: &str| json!({ "table": "{t}", "other_tables": others, "tables": { "x": { "columns": { "a": "int8" } } } });
    let (rows, bad) = read_all(&folder, "a.jsonl", settings("refuse"));
    assert_eq!(rows, ["x: 1"]);
    let (of_y, of_none) = (
        "a.jsonl line 2: its table is not one of `tables`",
        "a.jsonl line 3: it has no field t, which names its table",
    );
    let of_x = "a.jsonl line 4: column a is not of type int8";
    assert_eq!(bad, [of_y, of_none, of_x]);
    assert_eq!(read_all(&folder, "a.jsonl", settings("drop")).1, [of_none, of_x]);
}

#[test]
fn a_row_that_is_refused_does_not_move_its_neighbours_in_another_table() {
    let lines: String = (0..40)
        .map(|i| format!("{{\"t\":\"{}\",\"n\":{}}}\n", i % 3, if i % 7 == 0 { "\"x\"".into() } else { i.to_string() }))
        .collect();
    let folder = Folder::new(&[("a.jsonl", lines.as_bytes())]);
    let table = json!({ "columns": { "n": "int64" } });
    let settings = json!({ "table": "{t}", "tables": { "0": table, "1": table, "2": table } });
    let (mut rows, bad) = read_all(&folder, "a.jsonl", settings);
    rows.sort();
    let mut expected: Vec<String> = (0..40).filter(|i| i % 7 != 0).map(|i| format!("{}: {i}", i % 3)).collect();
    expected.sort();
    assert_eq!(rows, expected);
    let lines: Vec<String> =
        (0..40).step_by(7).map(|i| format!("a.jsonl line {}: column n is not of type int64", i + 1)).collect();
    assert_eq!(bad, lines);
}

#[test]
fn long_lines_are_refused_and_endless_ones_are_errors() {
    let long = format!("{{\"a\":\"{}\"}}\n{{\"a\":\"x\"}}\n", "y".repeat(5_000));
    let folder = Folder::new(&[("a.jsonl", long.as_bytes()), ("b.jsonl", &vec![b' '; 3 << 20])]);
    let settings = json!({ "columns": { "a": "string" }, "max_line_bytes": "4KiB" });
    let (rows, bad) = read_all(&folder, "a.jsonl", settings.clone());
    assert_eq!(rows, ["a: x"]);
    assert!(bad[0].contains("max_line_bytes"), "{bad:?}");
    let problem = Run::open(folder.settings("b.jsonl", settings), None).unwrap().drain().unwrap_err();
    assert_eq!((problem.kind(), problem.setting()), (ErrorKind::Data, Some("max_line_bytes")), "{problem:?}");
}

#[test]
fn messages_hold_no_values() {
    let folder = Folder::new(&[("a.jsonl", b"{\"id\":\"SECRET\"}\n")]);
    let config = folder.settings("a.jsonl", json!({ "columns": { "id": "int64" } }));
    let mut source = TextSource::new(JsonTables::new(config).unwrap());
    block(source.open(&SourceContext::default(), None)).unwrap();
    let mut bad = BadRows::new(BadRowPolicy::Fail, 0);
    let problem = block(source.poll(&PollBudget::default(), &mut bad)).unwrap_err();
    assert!(problem.to_string().contains("a.jsonl line 1") && !format!("{problem:?}").contains("SECRET"));
}

#[test]
fn wrong_settings_name_themselves() {
    let folder = Folder::new(&[]);
    for (settings, setting) in [
        (json!({ "table": "{a}" }), "tables"),
        (json!({ "table": "{a", "tables": { "x": { "columns": { "a": "int8" } } } }), "table"),
        (json!({ "tables": { "x": { "columns": { "a": "int8" } } } }), "tables"),
        (json!({ "table": "{a}", "tables": { "x": { "columns": {} } } }), "tables"),
        (json!({ "table": "{a}", "tables": { "x": { "columns": { "a": "int8" } } }, "key": ["a"] }), "columns"),
        (json!({ "paths": { "a": "b" } }), "paths"),
        (json!({ "columns": { "a": "int8" }, "paths": { "b": "c" } }), "paths"),
        (json!({ "columns": { "a": "int8" }, "paths": { "a": "b..c" } }), "paths"),
        (json!({ "columns": { "a": "int8" }, "key": ["b"] }), "key"),
        (json!({ "infer_rows": 0 }), "infer_rows"),
        (json!({ "encoding": "klingon" }), "encoding"),
    ] {
        let problem = folder.settings("*", settings.clone()).validate().unwrap_err();
        assert_eq!((problem.kind(), problem.setting()), (ErrorKind::Config, Some(setting)), "{settings}: {problem:?}");
    }
}
