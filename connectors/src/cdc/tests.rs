//! The settings of `CdcInput`.

use aqueduct_model::ErrorKind;
use serde_json::{Value, json};

use super::ENTRY;

fn refused(settings: Value) -> (Option<String>, String) {
    let error = (ENTRY.check)(&settings).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    (error.setting().map(str::to_owned), error.to_string())
}

#[test]
fn an_unknown_engine_is_told_what_is_built_in() {
    let (setting, text) = refused(json!({ "engine": "access", "path": "a.db", "tables": ["a"] }));
    assert_eq!(setting.as_deref(), Some("engine"));
    let built_in = [
        (cfg!(feature = "sqlite"), "sqlite"),
        (cfg!(feature = "mysql"), "mariadb"),
        (cfg!(feature = "postgres"), "postgres"),
    ];
    for (_, engine) in built_in.iter().filter(|(is_built_in, _)| *is_built_in) {
        assert!(text.contains("access") && text.contains(engine), "{text}");
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn mistakes_name_the_setting() {
    for (settings, setting) in [
        (json!({ "engine": "sqlite", "path": "a.db", "tables": [] }), "tables"),
        (json!({ "engine": "sqlite", "path": "", "tables": ["a"] }), "path"),
        (json!({ "engine": "sqlite", "tables": ["a"] }), "path"),
        (json!({ "engine": "sqlite", "path": "a.db", "tables": ["a"], "log": "A_b" }), "log"),
        (json!({ "engine": "sqlite", "path": "a.db", "tables": ["a"], "chunk_rows": 0 }), "chunk_rows"),
        (json!({ "engine": "sqlite", "path": "a.db", "tables": ["a"], "snapshot": "sometimes" }), "snapshot"),
        (json!({ "engine": "sqlite", "path": "a.db", "tables": ["a"], "url": "mysql://u@h/d" }), "url"),
        (json!({ "engine": "sqlite", "path": "a.db", "tables": ["a"], "slot": "s" }), "slot"),
    ] {
        assert_eq!(refused(settings).0.as_deref(), Some(setting));
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn only_a_snapshot_that_ends_is_bounded() {
    for (snapshot, unbounded) in [("initial", true), ("never", true), ("always", true), ("initial_only", false)] {
        let settings = json!({ "engine": "sqlite", "path": "a.db", "tables": ["a"], "snapshot": snapshot });
        let properties = (ENTRY.check)(&settings).unwrap();
        assert_eq!((properties.unbounded, properties.blocking), (unbounded, true), "{snapshot}");
    }
}

#[cfg(feature = "mysql")]
#[test]
fn mysql_has_settings_of_its_own() {
    let with = |name: &str, value: Value| {
        let mut settings = json!({ "engine": "mariadb", "url": "mysql://u:p@h/shop", "tables": ["shop.orders"] });
        settings[name] = value;
        settings
    };
    assert!(!(ENTRY.check)(&with("snapshot", json!("initial"))).unwrap().blocking);
    for (name, value) in [
        ("server_id", json!(7)),
        ("zero_dates", json!("epoch")),
        ("schema_change", json!("ask")),
        ("truncate", json!("ignore")),
        ("max_source_load", json!(0.5)),
        ("on_table_error", json!("park")),
        ("snapshot", json!("when_needed")),
    ] {
        (ENTRY.check)(&with(name, value)).unwrap();
    }
    for (name, value) in [
        ("url", json!("")),
        ("path", json!("a.db")),
        ("slot", json!("s")),
        ("max_source_load", json!(0.0)),
        ("max_source_load", json!(1.5)),
        ("parallel_chunks", json!(1_000)),
        ("schema_change", json!("whatever")),
    ] {
        assert_eq!(refused(with(name, value)).0.as_deref(), Some(name));
    }
}

#[cfg(feature = "postgres")]
#[test]
fn postgres_has_settings_of_its_own() {
    let with = |name: &str, value: Value| {
        let mut settings = json!({ "engine": "postgres", "url": "postgres://u:p@h/shop", "tables": ["public.orders"] });
        settings[name] = value;
        settings
    };
    for (name, value) in [("slot", json!("s")), ("publication", json!("p")), ("retained_warn", json!("1GiB"))] {
        (ENTRY.check)(&with(name, value)).unwrap();
    }
    for (name, value) in [("server_id", json!(7)), ("log", json!("l")), ("tls_ca", json!("ca.pem"))] {
        assert_eq!(refused(with(name, value)).0.as_deref(), Some(name));
    }
}
