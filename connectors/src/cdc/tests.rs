//! The settings of `CdcInput`.

use aqueduct_model::ErrorKind;
use serde_json::{Value, json};

use super::ENTRY;

fn refused(settings: Value) -> (Option<String>, String) {
    let error = (ENTRY.check)(&settings).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    (error.setting().map(str::to_owned), error.to_string())
}

#[test]
fn mistakes_name_the_setting() {
    for (settings, setting) in [
        (json!({ "engine": "sqlite", "path": "a.db", "tables": [] }), "tables"),
        (json!({ "engine": "sqlite", "path": "", "tables": ["a"] }), "path"),
        (json!({ "engine": "sqlite", "path": "a.db", "tables": ["a"], "log": "A_b" }), "log"),
        (json!({ "engine": "sqlite", "path": "a.db", "tables": ["a"], "chunk_rows": 0 }), "chunk_rows"),
        (json!({ "engine": "sqlite", "path": "a.db", "tables": ["a"], "snapshot": "sometimes" }), "snapshot"),
    ] {
        assert_eq!(refused(settings).0.as_deref(), Some(setting));
    }
}

#[test]
fn an_unknown_engine_is_told_what_is_built_in() {
    let (setting, text) = refused(json!({ "engine": "mysql", "path": "a.db", "tables": ["a"] }));
    assert_eq!(setting.as_deref(), Some("engine"));
    assert!(text.contains("mysql") && text.contains("sqlite"), "{text}");
}

#[test]
fn only_a_snapshot_that_ends_is_bounded() {
    for (snapshot, unbounded) in [("initial", true), ("never", true), ("always", true), ("initial_only", false)] {
        let settings = json!({ "engine": "sqlite", "path": "a.db", "tables": ["a"], "snapshot": snapshot });
        assert_eq!((ENTRY.check)(&settings).unwrap().unbounded, unbounded, "{snapshot}");
    }
}
