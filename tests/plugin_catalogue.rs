//! Every plugin of the catalogue: described, documented, with an example that plans and runs.

use aqueduct_test_servers::{Kind, shared};

use crate::harness::Work;
use crate::harness::service::Service;

#[test]
fn every_setting_of_every_plugin_is_described() {
    let catalogue = aqueduct::catalogue().expect("a catalogue without doubles");
    let mut bare = Vec::new();
    for entry in catalogue.entries() {
        let schema = (entry.schema)().to_value();
        let definitions = schema["$defs"].as_object().into_iter().flat_map(|all| all.values());
        for object in std::iter::once(&schema).chain(definitions) {
            for (name, property) in object["properties"].as_object().into_iter().flatten() {
                if property["description"].as_str().is_none_or(str::is_empty) {
                    bare.push(format!("{}: {name}", entry.name));
                }
            }
        }
        assert!(!entry.summary.is_empty() && !entry.notes.trim().is_empty(), "{} says nothing of itself", entry.name);
    }
    assert!(bare.is_empty(), "settings without a description: {bare:#?}");
}

#[test]
fn every_plugin_refuses_unknown_settings() {
    for entry in aqueduct::catalogue().expect("a catalogue").entries() {
        let error = (entry.check)(&serde_json::json!({ "no_such_setting": 1 })).expect_err(entry.name);
        assert_eq!(error.kind(), aqueduct_model::ErrorKind::Config, "{}", entry.name);
    }
}

/// A page of three.
const ONE_PAGE: &str = "flow: one_page
params: { page: 1 }
tasks:
  - { id: start, plugin: Starter }
  - id: page
    plugin: SQL
    from: start
    config: { query: \"select ${params.page} < 3 as has_more, ${params.page} + 1 as next_page from start\" }
  - { id: back, plugin: Return, from: page }
";

/// Sinks first: what their examples write is what the sources' examples read.
#[test]
fn every_example_plans_and_runs() {
    let catalogue = aqueduct::catalogue().expect("a catalogue");
    let work = Work::new();
    std::fs::create_dir(work.file("in")).expect("a folder");
    work.write("in/orders_1.csv", "id,amount,created_at\n1,10.50,2024-01-01T00:00:00Z\n2,20.25,2024-01-02T00:00:00Z\n");
    work.write(
        "in/events_1.jsonl",
        "{\"event_type\":\"bid\",\"auction\":1,\"price\":5,\"source\":{\"channel\":\"web\"}}\n",
    );
    // What the examples of `SubFlow` and `While` run.
    work.write("one_day.yaml", catalogue.get("Return").expect("the plugin").example);
    work.write("one_page.yaml", ONE_PAGE);
    let (mysql, postgres) = (shared(Kind::MySql8).database(), shared(Kind::Postgres15).database());
    let (mysql, postgres) = (mysql.url("cdc"), postgres.url("cdc"));
    let http = Service::start().url();
    let servers = [("MYSQL_URL", mysql.as_str()), ("POSTGRES_URL", postgres.as_str()), ("HTTP_URL", http.as_str())];
    for entry in catalogue.entries().iter().rev() {
        let file = format!("{}.yaml", entry.name);
        work.write(&file, entry.example);
        let planned = work.aqueduct(&["validate", &file]);
        assert_eq!(planned.code, Some(0), "{}: {}", entry.name, planned.stderr);
        let ran = work.aqueduct_with(&["run", &file], &servers);
        assert_eq!(ran.code, Some(0), "{}: {}", entry.name, ran.stderr);
    }
}

#[test]
fn the_pages_are_up_to_date() {
    let root = env!("CARGO_MANIFEST_DIR");
    let checked = crate::harness::program()
        .current_dir(root)
        .args(["plugins", "docs", "--check", "--readme", "README.md", "--readme", "README.zh-CN.md"])
        .output()
        .expect("the program starts");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
