//! What joins by event time refuse, forget and wait for.

use std::sync::Arc;

use aqueduct_model::{Change, ChangeSupport, InputPort, Op, Relation, RelationName, Result, SchemaChange, Watermark};
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::{Value, json};

use super::{TIME, advance, announce, cells, give, opened, snapshot, table};
use crate::join::ENTRY;
use crate::tests::{Memory, batch, block_on, refusal, row};

fn close(kind: &str) -> Value {
    json!({ "type": kind, "on": ["s"], "interval": { "left": TIME, "right": TIME, "to": "10ms" } })
}

fn last(kind: &str) -> Value {
    json!({ "type": kind, "on": ["s"], "as_of": { "left": TIME, "right": TIME } })
}

fn changed(mut config: Value, change: impl Fn(&mut Value)) -> Value {
    change(&mut config);
    config
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn settings_that_do_not_go_together_are_refused_with_what_to_write() {
    let checked = |config: Value| refusal((ENTRY.check)(&config));
    let with =
        |config: Value, name: &str, value: Value| checked(changed(config, |config| config[name] = value.clone()));
    assert!(with(close("inner"), "as_of", json!({ "left": "a", "right": "b" })).contains("keep one of them"));
    assert!(with(close("inner"), "mode", json!("changelog")).contains("remove `mode`"));
    assert!(with(close("inner"), "key", json!(["id"])).contains("remove `key`"));
    assert!(with(last("inner"), "where", json!("left.n < right.n")).contains("task `Filter`"));
    for kind in ["right", "full", "semi", "anti"] {
        assert!(checked(last(kind)).contains("type: left"), "{kind}");
    }
    let backwards = changed(close("inner"), |config| config["interval"]["from"] = json!("11ms"));
    assert!(checked(backwards).contains("setting interval.from"));
    let wrong = changed(close("inner"), |config| config["interval"]["right"] = json!("id +"));
    assert!(checked(wrong).contains("setting interval.right"));
    let wrong = changed(last("inner"), |config| config["as_of"]["tolerance"] = json!("-1h"));
    assert!(checked(wrong).contains("as_of.tolerance"));
    let wrong = changed(close("inner"), |config| config["interval"]["to"] = json!("an hour"));
    assert!(checked(wrong).contains("-10m for what lies before"));
    assert!(checked(json!({ "on": ["a"], "late": "port" })).contains("add `interval` or `as_of`"));
    assert!(checked(json!({ "on": ["a"], "mode": "changelog", "lateness": "1s" })).contains("setting lateness"));
}

#[test]
fn the_planner_is_told_what_they_need() {
    for config in [close("left"), last("left")] {
        let properties = (ENTRY.check)(&config).unwrap();
        assert!(properties.needs_event_time && !properties.needs_end && !properties.emits_changes);
        assert_eq!((properties.changes, properties.outputs.len()), (ChangeSupport::AppendOnly, 1));
        let port = changed(config, |config| config["late"] = json!("port"));
        assert_eq!((ENTRY.check)(&port).unwrap().outputs, ["out", "late"]);
    }
}

#[test]
fn rows_without_a_time_and_late_ones_are_bad_rows() {
    let config = changed(close("left"), |config| config["interval"]["left"] = json!("to_timestamp_millis(n)"));
    let mut operator = opened(&config, None, None);
    let mut out = Memory::default();
    announce(&mut operator, &mut out);
    give(&mut operator, 0, &[(1, None, Some("a".into())), row(2, 20, "a")], &mut out).unwrap();
    assert_eq!(out.bad.len(), 1);
    assert!(format!("{:?}", out.bad[0]).contains("`interval.left` is NULL"), "{:?}", out.bad[0]);
    advance(&mut operator, 30, &mut out);
    give(&mut operator, 0, &[row(3, 29, "a"), row(4, 30, "a")], &mut out).unwrap();
    assert_eq!(out.bad.len(), 2);
    assert!(format!("{:?}", out.bad[1]).contains("it is late"), "{:?}", out.bad[1]);
    block_on(operator.finish(&mut out)).unwrap();
    let ids: Vec<_> = cells(&out).into_iter().map(|cells| cells[0].clone().unwrap()).collect();
    assert_eq!(ids, ["2", "4"]);
    let of = |time: &str| {
        let config = changed(close("left"), |config| config["interval"]["right"] = json!(time));
        refusal(give(&mut opened(&config, None, None), 1, &[row(1, 1, "a")], &mut Memory::default()))
    };
    assert!(of("n").contains("to_timestamp_millis") && of("n").contains("setting interval.right"));
    assert!(of("nn").contains("setting interval.right"));
}

#[test]
fn changes_and_rows_that_are_not_whole_stop_the_flow() {
    let ran = |events: &[crate::tests::Event]| {
        let mut operator = opened(&close("inner"), None, None);
        let batch = batch(&table(0), events);
        refusal(block_on(operator.process(InputPort(0), batch, &mut Memory::default())))
    };
    assert!(ran(&[(Op::Delete, row(1, 1, "a"), false)]).contains("mode: changelog"));
    let bare = batch(&table(0), &[(Op::Insert, row(1, 1, "a"), false)]);
    let bare = bare.with_present(1, arrow::array::BooleanArray::from(vec![false])).unwrap();
    let mut operator = opened(&close("inner"), None, None);
    let refused = refusal(block_on(operator.process(InputPort(0), bare, &mut Memory::default())));
    assert!(refused.contains("without all of its values"), "{refused}");
}

/// Gives a row of the left table only; nothing is known of the right one.
fn lonely(config: &Value) -> (Result<()>, Option<Watermark>, Memory) {
    let mut operator = opened(config, None, None);
    let mut out = Memory::default();
    give(&mut operator, 0, &[row(5, 1, "a")], &mut out).unwrap();
    let passed = advance(&mut operator, 50, &mut out);
    let ended = block_on(operator.finish(&mut out));
    (ended, passed, out)
}

#[test]
fn rows_wait_for_the_columns_of_a_table_of_which_nothing_came() {
    for config in [close("left"), last("left")] {
        let (ended, passed, out) = lonely(&config);
        assert!(refusal(ended).contains("columns: { r: { id: bigint"), "what to write");
        // It would go out behind the watermark.
        assert_eq!((passed, out.batches.len()), (None, 0));
        let columns = json!({ "r": { "id": "bigint", "n": "bigint", "s": "varchar" } });
        let declared = changed(config, |config| config["columns"] = columns.clone());
        let (ended, passed, out) = lonely(&declared);
        ended.unwrap();
        assert!(passed.is_some());
        assert_eq!(cells(&out), [[text("5"), text("1"), text("a"), None, None]]);
        // What comes after all has to be as was said.
        let mut operator = opened(&declared, None, None);
        give(&mut operator, 0, &[row(5, 1, "a")], &mut Memory::default()).unwrap();
        advance(&mut operator, 50, &mut Memory::default());
        give(&mut operator, 1, &[row(60, 1, "a")], &mut Memory::default()).unwrap();
        let wrong = changed(declared, |config| config["columns"]["r"]["n"] = json!("varchar"));
        let mut operator = opened(&wrong, None, None);
        give(&mut operator, 0, &[row(5, 1, "a")], &mut Memory::default()).unwrap();
        advance(&mut operator, 50, &mut Memory::default());
        let refused = refusal(give(&mut operator, 1, &[row(60, 1, "a")], &mut Memory::default()));
        assert!(refused.contains("setting columns") && refused.contains("n Utf8"), "{refused}");
    }
    for config in [close("inner"), close("semi"), last("inner")] {
        let (ended, passed, out) = lonely(&config);
        ended.unwrap();
        assert!(passed.is_some() && out.batches.is_empty());
    }
}

#[test]
fn rows_that_waited_for_columns_go_out_once_these_are_known() {
    let mut operator = opened(&close("left"), None, None);
    let mut out = Memory::default();
    give(&mut operator, 0, &[row(5, 1, "a")], &mut out).unwrap();
    assert_eq!(advance(&mut operator, 50, &mut out), None);
    let created = SchemaChange::new(table(1), Change::CreateTable);
    block_on(operator.on_schema(InputPort(1), created, &mut out)).unwrap();
    assert_eq!((cells(&out).len(), out.changes.len()), (1, 1));
    assert_eq!(advance(&mut operator, 51, &mut out), Some(Watermark::EventTimeMs(41)));
}

#[test]
fn what_nothing_can_meet_any_more_is_forgotten() {
    let within = changed(last("left"), |config| config["as_of"]["tolerance"] = json!("20ms"));
    for config in [close("full"), close("anti"), within, last("left")] {
        let mut operator = opened(&config, None, None);
        let mut out = Memory::default();
        announce(&mut operator, &mut out);
        advance(&mut operator, 0, &mut out);
        let empty = snapshot(&mut operator).0.len();
        let mut most = 0;
        for ms in (0..20_000).step_by(10) {
            give(&mut operator, 0, &[row(ms, 1, "a"), row(ms + 3, 1, "b")], &mut out).unwrap();
            give(&mut operator, 1, &[row(ms, 1, "c"), row(ms + 3, 1, "b")], &mut out).unwrap();
            advance(&mut operator, ms, &mut out);
            most = most.max(snapshot(&mut operator).0.len());
        }
        assert!(most < empty + 20_000, "{config}: {empty} to {most} bytes");
        advance(&mut operator, 30_000, &mut out);
        let left = snapshot(&mut operator).0.len();
        // How many rows there were is remembered, and what counts until something else does.
        assert!(left < empty + 1_000, "{config}: {empty} to {left} bytes");
    }
}

#[test]
fn a_row_may_meet_more_rows_than_are_looked_at_at_a_time() {
    for kind in ["left", "semi"] {
        let folder = tempfile::tempdir().unwrap();
        let mut operator = opened(&close(kind), Some(folder.path()), None);
        let mut out = Memory::default();
        announce(&mut operator, &mut out);
        let many: Vec<_> = (0..20_000).map(|n| row(5, n, "a")).collect();
        let (side, other) = if kind == "semi" { (1, 0) } else { (0, 1) };
        give(&mut operator, other, &many, &mut out).unwrap();
        // They are in files now.
        let state = snapshot(&mut operator);
        drop(operator);
        let mut operator = opened(&close(kind), Some(folder.path()), Some(state));
        give(&mut operator, side, &[row(5, 1, "a")], &mut out).unwrap();
        assert_eq!(cells(&out).len(), 20_000);
        assert!(out.batches.iter().all(|(_, batch)| batch.num_rows() < 10_000), "pairs go out as they are found");
        block_on(operator.finish(&mut out)).unwrap();
        assert_eq!(cells(&out).len(), 20_000);
    }
}

#[test]
fn the_last_row_at_a_time_is_found_in_files_and_the_others_are_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let mut operator = opened(&last("inner"), Some(folder.path()), None);
    let mut out = Memory::default();
    announce(&mut operator, &mut out);
    for from in (0..40_000).step_by(10_000) {
        let versions: Vec<_> = (from..from + 10_000).map(|ms| row(ms, ms, "a")).collect();
        give(&mut operator, 1, &versions, &mut out).unwrap();
        let state = snapshot(&mut operator);
        drop(operator);
        operator = opened(&last("inner"), Some(folder.path()), Some(state));
    }
    for ms in (0..40_000).step_by(4_000) {
        give(&mut operator, 0, &[row(ms, 1, "a"), row(ms + 7, 1, "a"), row(ms + 7, 1, "b")], &mut out).unwrap();
        advance(&mut operator, ms + 8, &mut out);
        snapshot(&mut operator);
    }
    let found = cells(&out);
    assert_eq!(found.len(), 20);
    assert!(found.iter().all(|cells| cells[0] == cells[3]), "{found:?}");
    assert_eq!(advance(&mut operator, 50_000, &mut out), Some(Watermark::EventTimeMs(50_000)));
    give(&mut operator, 0, &[row(60_000, 1, "a")], &mut out).unwrap();
    block_on(operator.finish(&mut out)).unwrap();
    assert_eq!(cells(&out)[20][3], text("39999"));
}

#[test]
fn a_table_that_is_emptied_has_no_rows_that_wait() {
    for config in [close("full"), last("left")] {
        let mut operator = opened(&config, None, None);
        let mut out = Memory::default();
        announce(&mut operator, &mut out);
        give(&mut operator, 0, &[row(5, 1, "a")], &mut out).unwrap();
        give(&mut operator, 1, &[row(5, 1, "b")], &mut out).unwrap();
        let emptied = SchemaChange::new(table(1), Change::Truncate);
        block_on(operator.on_schema(InputPort(1), emptied, &mut out)).unwrap();
        give(&mut operator, 0, &[row(6, 1, "b")], &mut out).unwrap();
        let emptied = SchemaChange::new(table(0), Change::Truncate);
        block_on(operator.on_schema(InputPort(0), emptied, &mut out)).unwrap();
        give(&mut operator, 0, &[row(7, 1, "b")], &mut out).unwrap();
        block_on(operator.finish(&mut out)).unwrap();
        let sides: Vec<_> = cells(&out).iter().map(|cells| (cells[0].is_some(), cells[3].is_some())).collect();
        assert_eq!(sides, [(true, false)], "{config}");
    }
}

#[test]
fn columns_that_are_not_chosen_may_come_and_others_stop_the_flow() {
    let widened = |config: Value| {
        let mut operator = opened(&config, None, None);
        let mut out = Memory::default();
        announce(&mut operator, &mut out);
        give(&mut operator, 0, &[row(5, 1, "a")], &mut out).unwrap();
        let mut fields: Vec<Field> = table(0).columns().fields().iter().map(|field| field.as_ref().clone()).collect();
        fields.push(Field::new("more", DataType::Int64, true));
        let wider = Relation::new(RelationName::table("l"), Arc::new(Schema::new(fields)), &["id"], 2).unwrap();
        let change = SchemaChange::new(Arc::new(wider), Change::AddColumns(vec!["more".into()]));
        block_on(operator.on_schema(InputPort(0), change, &mut out))?;
        give(&mut operator, 1, &[row(6, 2, "a")], &mut out)?;
        block_on(operator.finish(&mut out))?;
        Ok::<_, aqueduct_model::Error>(cells(&out))
    };
    let select = |config: Value| changed(config, |config| config["select"] = json!(["id", "r_id"]));
    assert_eq!(widened(select(close("inner"))).unwrap(), [[text("5"), text("6")]]);
    assert!(refusal(widened(close("inner"))).contains("select: [id"));
}

#[test]
fn other_settings_over_an_old_state_are_refused() {
    let mut operator = opened(&close("inner"), None, None);
    give(&mut operator, 0, &[row(5, 1, "a")], &mut Memory::default()).unwrap();
    let state = snapshot(&mut operator);
    let longer = changed(close("inner"), |config| config["interval"]["to"] = json!("1h"));
    let mut operator = crate::tests::build(ENTRY, &longer).unwrap();
    let context = aqueduct_model::OperatorContext { task: "joined".into(), ..Default::default() };
    assert!(refusal(block_on(operator.open(&context, Some(state)))).contains("checkpoint reset"));
}

#[test]
fn silence_passes_and_what_is_known_comes_again_behind_it() {
    let mut operator = opened(&close("inner"), None, None);
    let mut out = Memory::default();
    announce(&mut operator, &mut out);
    assert_eq!(advance(&mut operator, 50, &mut out), Some(Watermark::EventTimeMs(40)));
    assert_eq!(advance(&mut operator, 50, &mut out), None);
    let idle = block_on(operator.on_watermark(Watermark::Idle, &mut out)).unwrap();
    assert_eq!(idle, Some(Watermark::Idle));
    assert_eq!(advance(&mut operator, 45, &mut out), Some(Watermark::EventTimeMs(40)));
}

#[test]
fn keys_of_the_output() {
    let key = |config: Value| {
        let mut operator = opened(&config, None, None);
        let mut out = Memory::default();
        announce(&mut operator, &mut out);
        out.changes[0].1.relation.key_names().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(key(close("inner")), ["id", "r_id"]);
    assert_eq!(key(changed(close("left"), |config| config["on"] = json!([{ "n": "id" }]))), ["id"]);
    assert!(key(close("left")).is_empty(), "a right key would be NULL");
    assert_eq!(key(last("left")), ["id"]);
}
