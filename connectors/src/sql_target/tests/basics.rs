//! Opening, claiming, fencing, epochs, names.

use aqueduct_model::{Claim, ErrorKind, SinkContext, SinkInput, Token};
use arrow::datatypes::DataType;
use serde_json::json;

use super::{Bench, Kit, batch, block_on, cut, orders, relation};
use crate::sql_target::quote_ident;

pub(crate) fn open_changes_nothing_and_a_claim_is_recorded(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let mut sink = bench.sink();
    assert_eq!(block_on(sink.open(&bench.context)).unwrap(), None);
    assert!(!bench.path().exists() && bench.columns("_aqueduct_commits").is_empty(), "open creates nothing");
    block_on(sink.claim(&Claim { token: Token(3), cut: cut(7) })).unwrap();
    block_on(sink.close()).unwrap();
    let recorded = block_on(bench.sink().open(&bench.context)).unwrap().unwrap();
    assert_eq!((recorded.token, recorded.cut), (Token(3), cut(7)));
}

pub(crate) fn an_epoch_is_visible_after_its_flush_and_not_before(kit: &Kit) {
    // A tiny staging budget: the rows are in the open transaction long before the flush.
    for staging in ["64MiB", "1B"] {
        let bench = Bench::new(kit, json!({ "staging_bytes": staging }));
        let (mut writer, _) = bench.start();
        writer.write(batch(&orders(), &[(0, 1, "a")]));
        writer.flush();
        writer.write(batch(&orders(), &[(0, 2, "b")]));
        writer.write(batch(&orders(), &[(1, 1, "a"), (2, 1, "c")]));
        drop(writer);
        assert_eq!(bench.read("orders"), (Some(cut(1)), vec!["1|a".into()]));
        let (mut writer, recorded) = bench.start();
        assert_eq!(recorded.unwrap().cut, cut(1));
        writer.write(batch(&orders(), &[(0, 2, "b")]));
        writer.flush();
        writer.flush();
        writer.close();
        assert_eq!(bench.read("orders"), (Some(cut(3)), vec!["1|a".into(), "2|b".into()]), "an empty epoch counts too");
    }
}

pub(crate) fn an_older_token_is_refused(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let (writer, _) = bench.start();
    writer.close();
    let mut late = bench.sink();
    block_on(late.open(&bench.context)).unwrap();
    let error = block_on(late.claim(&Claim { token: Token(1), cut: cut(0) })).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.hint().is_some(), "{error:?}");
}

pub(crate) fn two_tasks_share_a_target(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a")]));
    writer.flush();
    writer.close();
    let mut other = Bench::new(kit, json!({ "table": "other_{table}" }));
    (other.folder, other.place) = (bench.folder.clone(), bench.place.clone());
    let (mut writer, recorded) = other.start();
    assert_eq!(recorded, None);
    writer.write(batch(&orders(), &[(0, 9, "z")]));
    writer.flush();
    writer.close();
    assert_eq!(other.read("orders").1, ["9|z"]);
    assert_eq!(other.sql("SELECT count(*) FROM orders"), ["1"]);
    assert_eq!(other.sql("SELECT count(*) FROM _aqueduct_commits"), ["2"]);
}

pub(crate) fn two_tasks_write_in_turns(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let (mut one, _) = bench.start();
    let context = SinkContext { task: "other".into(), ..bench.context.clone() };
    let mut settings = bench.place.clone();
    settings["table"] = json!("other_{table}");
    let aqueduct_model::Build::Sink { build, .. } = kit.entry.build else { panic!("not a sink") };
    let mut two = build(&settings).unwrap();
    assert_eq!(block_on(two.open(&context)).unwrap(), None);
    block_on(two.claim(&Claim { token: Token(1), cut: cut(0) })).unwrap();
    let mut bad = aqueduct_model::BadRows::new(aqueduct_model::BadRowPolicy::Fail, 1);
    for epoch in 1..4 {
        one.write(batch(&orders(), &[(0, epoch, "one")]));
        let rows = batch(&orders(), &[(0, epoch, "two")]);
        block_on(two.write(SinkInput::Batch(rows), &mut bad)).unwrap();
        one.flush();
        block_on(two.flush(&cut(epoch as u64), &mut bad)).unwrap();
    }
    block_on(two.close()).unwrap();
    one.close();
    assert_eq!(bench.read("orders").1, ["1|one", "2|one", "3|one"]);
    assert_eq!(bench.sql("SELECT count(*) FROM other_orders"), ["3"]);
}

/// Names that hurt: quotes of all kinds, keywords, other scripts, blanks, statement ends.
const NAMES: [&str; 14] = [
    "a\"b",
    "'; DROP TABLE orders; --",
    "select",
    "ünï cödé",
    "表",
    "[x]",
    "`y`",
    "a.b",
    " ",
    "\\",
    "?1",
    "$1",
    "%s",
    "\n",
];

pub(crate) fn any_name_is_only_a_name(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let (mut writer, _) = bench.start();
    let names = || NAMES.into_iter().filter(|name| quote_ident(kit.dialect, name).is_ok());
    for name in names() {
        let relation = relation(name, &[(name, DataType::Int64), ("v\"w", DataType::Utf8)], &[name]);
        writer.write(batch(&relation, &[(0, 1, name), (0, 2, "x"), (1, 1, ""), (2, 3, name)]));
        writer.flush();
        writer.write(batch(&relation, &[(3, 2, ""), (2, 3, "y")]));
    }
    writer.flush();
    writer.close();
    for name in names() {
        assert_eq!(bench.read(name).1, ["3|y"], "{name:?}");
    }
    let refused = NAMES.into_iter().filter(|name| quote_ident(kit.dialect, name).is_err());
    for name in refused.chain(["", "a\0b", &"x".repeat(2_000)]) {
        let (mut writer, _) = bench.start();
        writer.write(batch(&relation(name, &[("id", DataType::Int64), ("v", DataType::Utf8)], &[]), &[(0, 1, "x")]));
        assert_eq!(writer.try_flush().unwrap_err().kind(), ErrorKind::Schema, "{name:?}");
    }
}

pub(crate) fn random_names_come_back(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let (mut writer, _) = bench.start();
    let alphabet: Vec<char> = "aZ\"'`[];-.,/\\?$%{}() \t表é\u{1F600}\u{7f}0".chars().collect();
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut names = std::collections::BTreeSet::new();
    while names.len() < 60 {
        let mut name = String::new();
        for _ in 0..=state % 9 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            name.push(alphabet[(state >> 33) as usize % alphabet.len()]);
        }
        // Most databases take names that differ by case for one.
        if quote_ident(kit.dialect, &name).is_ok() {
            names.insert(name.to_lowercase());
        }
    }
    for name in &names {
        writer.write(batch(
            &relation(name, &[("id", DataType::Int64), (name, DataType::Utf8)], &["id"]),
            &[(0, 1, name)],
        ));
    }
    writer.flush();
    writer.close();
    for name in &names {
        assert_eq!(bench.read(name).1, [format!("1|{name}")], "{name:?}");
    }
}

pub(crate) fn another_writer_of_the_file_is_answered_not_hung_on(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    std::fs::write(bench.path(), "this is a text and no database, whatever its name says; it is long enough").unwrap();
    let mut sink = bench.sink();
    let error = match block_on(sink.open(&bench.context)) {
        Err(error) => error,
        Ok(_) => block_on(sink.claim(&Claim { token: Token(1), cut: cut(0) })).unwrap_err(),
    };
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    let mut nowhere = Bench::new(kit, json!({}));
    nowhere.config["path"] = json!("x");
    let mut settings = json!({ "path": bench.folder.path().join("no/such/folder/x.db") });
    settings["mode"] = json!("append");
    let aqueduct_model::Build::Sink { build, .. } = kit.entry.build else { panic!("not a sink") };
    let mut sink = build(&settings).unwrap();
    block_on(sink.open(&bench.context)).unwrap_or(None);
    let error = block_on(sink.claim(&Claim { token: Token(1), cut: cut(0) })).unwrap_err();
    assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some("path")), "{error:?}");
}

pub(crate) fn an_unwritten_sink_refuses_rows(kit: &Kit) {
    let bench = Bench::new(kit, json!({ "staging_bytes": 1 }));
    let mut sink = bench.sink();
    let mut bad = aqueduct_model::BadRows::new(aqueduct_model::BadRowPolicy::Fail, 1);
    let input = SinkInput::Batch(batch(&orders(), &[(0, 1, "a")]));
    assert_eq!(block_on(sink.write(input, &mut bad)).unwrap_err().kind(), ErrorKind::Bug);
}
