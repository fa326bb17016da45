use aqueduct_model::{Change, Op, SchemaChange};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::ENTRY;
use crate::tests::*;

/// What the steps make of one text.
fn made(steps: Value, text: &str) -> Option<String> {
    let config = json!({"columns": {"s": {"do": steps}}});
    let out = run(ENTRY, &config, &[inserts(&[row(1, 1, text)])]).unwrap();
    assert!(out.bad.is_empty(), "{:?}", out.bad);
    out.rows()[0].1[2].clone()
}

#[test]
fn each_step_does_what_it_says() {
    for (step, text, expected) in [
        (json!({"trim": "both"}), " \t中 文 ", Some("中 文")),
        (json!({"trim": "left"}), " a ", Some("a ")),
        (json!({"trim": "right"}), " a ", Some(" a")),
        (json!({"strip": {"chars": "-_"}}), "-_a-b_", Some("a-b")),
        (json!({"strip": {"chars": "0", "side": "left"}}), "00700", Some("700")),
        (json!({"case": "upper"}), "straße", Some("STRASSE")),
        (json!({"case": "lower"}), "ÄB", Some("äb")),
        (json!({"case": "title"}), "o'neil mc-DONALD éa", Some("O'neil Mc-Donald Éa")),
        (json!({"pad": {"length": 5, "with": "0"}}), "42", Some("00042")),
        (json!({"pad": {"length": 3, "with": "中", "side": "right"}}), "文", Some("文中中")),
        (json!({"pad": {"length": 2}}), "long", Some("long")),
        (json!({"replace": {"from": "aa", "to": "b"}}), "aaaa-a", Some("bb-a")),
        (json!({"regex_extract": {"pattern": "(\\d+)-(\\d+)"}}), "x 12-34", Some("12")),
        (json!({"regex_extract": {"pattern": "(\\d+)-(\\d+)", "group": 2}}), "x 12-34", Some("34")),
        (json!({"regex_extract": {"pattern": "\\d+"}}), "x 12", Some("12")),
        (json!({"regex_extract": {"pattern": "\\d+"}}), "x", None),
        (json!({"regex_replace": {"pattern": "(\\w)(\\w)", "with": "$2$1"}}), "abcd", Some("badc")),
        (json!({"substring": {"start": 2, "length": 2}}), "中文字母", Some("文字")),
        (json!({"substring": {"start": -2}}), "abc", Some("bc")),
        (json!({"substring": {"start": -9, "length": 2}}), "abc", Some("ab")),
        (json!({"substring": {"start": 9}}), "abc", Some("")),
        (json!({"split": {"by": "--", "part": 2}}), "a--b--c", Some("b")),
        (json!({"split": {"by": "--", "part": -1}}), "a--b--c", Some("c")),
        (json!({"split": {"by": ",", "part": 1}}), "", Some("")),
        (json!({"split": {"by": ",", "part": 4}}), "a,b", None),
        (json!({"split": {"by": ",", "part": -4}}), "a,b", None),
        (json!({"hash": "md5"}), "abc", Some("900150983cd24fb0d6963f7d28e17f72")),
        (json!({"encode": "base64"}), "中?", Some("5LitPw==")),
        (json!({"encode": "base64url"}), "中?", Some("5LitPw")),
        (json!({"encode": "hex"}), "中", Some("e4b8ad")),
        (json!({"encode": "url"}), "a b/中~", Some("a%20b%2F%E4%B8%AD~")),
        (json!({"decode": "base64"}), "5LitPw==", Some("中?")),
        (json!({"decode": "base64url"}), "5LitPw==", Some("中?")),
        (json!({"decode": "hex"}), "E4b8AD", Some("中")),
        (json!({"decode": "url"}), "a%20b+%E4%B8%AD", Some("a b+中")),
    ] {
        assert_eq!(made(json!([step]), text).as_deref(), expected, "{step} of {text:?}");
    }
    // FIPS 180-4's "abc".
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(made(json!([{"hash": "sha256"}]), "abc").as_deref(), Some(sha256));
    assert!(made(json!([{"hash": "sha512"}]), "abc").unwrap().starts_with("ddaf35a193617abacc417349ae204131"));
}

#[test]
fn steps_follow_each_other_and_null_ends_them() {
    let steps = json!([{"trim": "both"}, {"split": {"by": "@", "part": 2}}, {"case": "upper"}]);
    assert_eq!(made(steps.clone(), " a@b.c ").as_deref(), Some("B.C"));
    assert_eq!(made(steps, " a "), None);
}

#[test]
fn texts_are_put_together() {
    let config = json!({"columns": {
        "c": {"concat": {"columns": ["s", "n", "id"], "separator": "-"}, "do": [{"case": "upper"}]},
        "t": {"template": "{{{s}}} {n}!"},
        "s": {"from": "n", "do": [{"pad": {"length": 3, "with": "0"}}]},
    }});
    let rows = [row(1, 2, "x"), (2, None, Some("y".into()))];
    let out = run(ENTRY, &config, &[inserts(&rows)]).unwrap();
    let cells: Vec<Vec<Option<String>>> = out.rows().into_iter().map(|(_, cells)| cells[2..].to_vec()).collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(cells[0], [some("002"), some("X-2-1"), some("{x} 2!")], "all read the columns as they came in");
    assert_eq!(cells[1], [None, some("Y-2"), None]);
}

#[test]
fn what_cannot_be_decoded_is_refused_alone() {
    let config = json!({"columns": {"s": {"do": [{"decode": "hex"}]}}});
    let rows = [row(1, 1, "61"), row(2, 1, "6"), row(3, 1, "secret"), row(4, 1, "ff"), row(5, 1, "")];
    let out = run(ENTRY, &config, &[inserts(&rows)]).unwrap();
    assert_eq!(numbers(&out.port(0)[0], "id"), [Some(1), Some(5)]);
    assert_eq!(out.bad.len(), 3);
    assert!(out.bad.iter().all(|bad| bad.reasons == ["column s: a value is not UTF-8 text in hex"]), "{:?}", out.bad);
    for (coding, bad) in [("base64", "5LitPw"), ("base64url", "a+b/"), ("url", "100%"), ("url", "%FF")] {
        let config = json!({"columns": {"s": {"do": [{"decode": coding}]}}});
        assert_eq!(run(ENTRY, &config, &[inserts(&[row(1, 1, bad)])]).unwrap().bad.len(), 1, "{coding} {bad}");
    }
}

#[test]
fn a_made_value_is_absent_where_one_that_it_is_made_of_is() {
    let config = json!({"columns": {"t": {"template": "{id} {s}"}, "k": {"from": "id"}}});
    let events = [(Op::UpdateAfter, row(1, 5, "x"), true), (Op::Insert, row(2, 5, "x"), false)];
    let out = run(ENTRY, &config, &[batch(&relation(), &events)]).unwrap();
    let batch = &out.port(0)[0];
    assert_eq!(batch.present(3).unwrap().iter().flatten().collect::<Vec<_>>(), [false, true]);
    assert!(batch.present(4).is_none() && out.bad.is_empty());
}

proptest! {
    #[test]
    fn rows_are_those_of_a_naive_model(rows in rows(), size in 1usize..20) {
        let events: Vec<Event> = rows.iter().map(|row| (Op::Insert, row.clone(), false)).collect();
        let steps = json!([{"replace": {"from": "a", "to": "bb"}}, {"substring": {"start": -3, "length": 2}}, {"case": "upper"}]);
        let out = run(ENTRY, &json!({"columns": {"s": {"do": steps}}}), &cut(&events, size)).unwrap();
        let got: Vec<_> = out.rows().into_iter().map(|(_, cells)| cells[2].clone()).collect();
        let expected: Vec<_> = rows.iter().map(|(_, _, s)| s.as_ref().map(|s| {
            let chars: Vec<char> = s.replace('a', "bb").chars().collect();
            chars[chars.len().saturating_sub(3)..].iter().take(2).collect::<String>().to_uppercase()
        })).collect();
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn folding_the_output_is_making_the_table(events in changelog(), size in 1usize..20) {
        let config = json!({"columns": {"s": {"concat": {"columns": ["s", "n"]}, "do": [{"case": "upper"}]}}});
        let out = run(ENTRY, &config, &cut(&events, size)).unwrap();
        let made = fold_events(&events).into_iter().map(|(id, n, s)| {
            let text = s.unwrap_or_default() + n.map(|n| n.to_string()).unwrap_or_default().as_str();
            (id, n, Some(text.to_uppercase()))
        });
        prop_assert_eq!(fold(&out.port(0)), shown(made));
        prop_assert_eq!(out.rows().len(), events.len());
    }

    #[test]
    fn every_encoding_is_read_back(text in "\\PC{0,20}") {
        for coding in ["base64", "base64url", "hex", "url"] {
            prop_assert_eq!(made(json!([{"encode": coding}, {"decode": coding}]), &text).unwrap(), text.clone());
        }
    }
}

#[test]
fn mistakes_name_the_step_and_keys_are_kept() {
    let step = |step: Value| json!({"columns": {"s": {"do": [{"trim": "both"}, step]}}});
    for (config, expected) in [
        (json!({"columns": {}}), "no column is made"),
        (json!({"columns": {"s": {}}}), "nothing is done"),
        (json!({"columns": {"s": {"from": "n", "template": "x"}}}), "one of `from`"),
        (json!({"columns": {"s": {"template": "a {b"}}}), "opening brace"),
        (json!({"columns": {"s": {"template": "a} b"}}}), "closing brace"),
        (json!({"columns": {"s": {"concat": {"columns": []}}}}), "names no column"),
        (step(json!({"regex_extract": {"pattern": "("}})), "setting columns.s.do[1]: the pattern"),
        (step(json!({"regex_extract": {"pattern": "a", "group": 1}})), "no group 1"),
        (step(json!({"substring": {"start": 0}})), "count from 1"),
        (step(json!({"split": {"by": "", "part": 1}})), "`by` is empty"),
        (step(json!({"pad": {"length": 0}})), "`length` is not between"),
        (step(json!({"shout": true})), "unknown variant `shout`"),
    ] {
        let got = refusal((ENTRY.check)(&config));
        assert!(got.contains(expected), "{config}: {got}");
    }
    for (config, expected) in [
        (json!({"columns": {"id": {"do": [{"trim": "both"}]}}}), "the key of t (id) would be lost"),
        (json!({"columns": {"x": {"from": "y"}}}), "t has no column y"),
    ] {
        let got = refusal(run(ENTRY, &config, &[inserts(&[row(1, 1, "x")])]));
        assert!(got.contains(expected), "{config}: {got}");
    }
}

#[test]
fn ddl_passes_with_the_columns_that_are_made() {
    let config = json!({"columns": {"t": {"template": "{s}!"}}});
    let altered = SchemaChange::new(relation(), Change::AlterColumns(vec!["s".into()]));
    let out = run_change(ENTRY, &config, altered).unwrap();
    assert_eq!(out.changes[0].1.change, Change::AlterColumns(vec!["s".into(), "t".into()]));
    assert!(out.changes[0].1.relation.columns().index_of("t").is_ok());
}
