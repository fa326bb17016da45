//! Flow files from text to definition.

mod expansion;
mod hostile;
mod round_trip;

use std::collections::BTreeMap;
use std::path::Path;

use super::keys::{self, Key, Kind};
use super::*;
use crate::plan::{ChannelSettings, CheckpointSettings, RestartSettings};

fn document(path: &str, text: &str) -> Result<Document, Diagnostics> {
    Document::parse(Source::new(path, text.as_bytes())?)
}

fn read_with(path: &str, text: &str, params: &[(&str, &str)]) -> Reading {
    let params: BTreeMap<String, String> = params.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let env = |name: &str| match name {
        "SET" => Some("from-env".to_owned()),
        "EMPTY" => Some(String::new()),
        "NUMBER" => Some("12".to_owned()),
        _ => None,
    };
    let file = |path: &Path| match path.to_str() {
        Some("pw.txt") => Ok("s3cret-of-file\n".to_owned()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    document(path, text).unwrap_or_else(|found| panic!("{found}")).read(&Lookup {
        params: &params,
        env: &env,
        file: &file,
    })
}

const YAML: &str = "
flow: shop
params: { shop: shop.db, rows: 10 }
delivery: at_least_once
checkpoint: { interval: 2s }
tasks:
  - id: a
    plugin: FakerInput
    config: { path: '${params.shop}', rows: '${params.rows}', tables: [orders, '007'], deep: { x: 1.5, y: true, z: ~ } }
  - { id: z, plugin: ConsoleOutput, from: [a, a.b] }
";

const JSON: &str = r#"{
  "flow": "shop", "params": { "shop": "shop.db", "rows": 10 }, "delivery": "at_least_once",
  "checkpoint": { "interval": "2s" },
  "tasks": [
    { "id": "a", "plugin": "FakerInput", "config": { "path": "${params.shop}", "rows": "${params.rows}",
      "tables": ["orders", "007"], "deep": { "x": 1.5, "y": true, "z": null } } },
    { "id": "z", "plugin": "ConsoleOutput", "from": ["a", "a.b"] }
  ]
}"#;

const XML: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- the same flow -->
<flow name="shop" delivery="at_least_once">
  <params><shop>shop.db</shop><rows>10</rows></params>
  <checkpoint interval="2s"/>
  <tasks>
    <task id="a" plugin="FakerInput">
      <config>
        <path>${params.shop}</path><rows>${params.rows}</rows>
        <tables><item>orders</item><item><![CDATA[007]]></item></tables>
        <deep x="1.5"><y>true</y><entry key="z"/></deep>
      </config>
    </task>
    <task id="z" plugin="ConsoleOutput"><from><item>a</item><item>a.b</item></from></task>
  </tasks>
</flow>"#;

#[test]
fn the_three_formats_say_the_same() {
    let flows = [("f.yaml", YAML), ("f.json", JSON), ("f.xml", XML)].map(|(path, text)| {
        let Reading { flow, found, .. } = read_with(path, text, &[]);
        assert!(found.0.is_empty(), "{found}");
        flow.unwrap()
    });
    let config = serde_json::json!({ "path": "shop.db", "rows": 10, "tables": ["orders", "007"], "deep": { "x": 1.5, "y": true, "z": null } });
    for flow in &flows {
        assert_eq!(flow.name.value, "shop");
        assert_eq!(flow.delivery.as_ref().unwrap().value, aqueduct_model::Delivery::AtLeastOnce);
        assert_eq!(flow.checkpoint.settings.interval.as_secs(), 2);
        assert_eq!(flow.tasks[0].config.to_json(), config);
        let from: Vec<&str> = flow.tasks[1].from.iter().map(|input| input.value.as_str()).collect();
        assert_eq!(from, ["a", "a.b"]);
    }
}

#[test]
fn the_format_is_found_without_an_ending() {
    for (text, format) in [(JSON, Format::Json), (XML, Format::Xml), (YAML, Format::Yaml), ("", Format::Yaml)] {
        assert_eq!(Source::new("flow", text.as_bytes()).unwrap().format(), format);
    }
    assert_eq!(Source::new("flow.YML", b"{}").unwrap().format(), Format::Yaml);
    assert_eq!(Source::new("flow.json", b"\xef\xbb\xbf{}").unwrap().text(), "{}");
}

#[test]
fn defaults_are_what_the_table_of_keys_says() {
    let written = |keys: &[Key]| -> String {
        let line = |key: &Key| key.default.map(|default| format!("{}: {default}, ", key.name));
        keys.iter().filter_map(line).collect()
    };
    let all = format!(
        "flow: x\ndelivery: auto\nbatch_rows: 8192\ncheckpoint: {{ {} }}\nrestart: {{ {} }}\nchannel: {{ {} }}\ntasks: [{{ id: a, plugin: P, {} retry: {{ {} }} }}]\n",
        written(keys::CHECKPOINT),
        written(keys::RESTART),
        written(keys::CHANNEL),
        written(keys::TASK),
        written(keys::RETRY)
    );
    let spelled = read_with("f.yaml", &all, &[]);
    assert!(spelled.found.0.is_empty(), "{}", spelled.found);
    let (spelled, short) = (
        spelled.flow.unwrap(),
        read_with("f.yaml", "flow: x\ntasks: [{ id: a, plugin: P, retry: {} }]", &[]).flow.unwrap(),
    );
    assert_eq!(
        (spelled.restart, spelled.channel, spelled.batch_rows),
        (RestartSettings::default(), ChannelSettings::default(), 8192)
    );
    assert_eq!(spelled.checkpoint, short.checkpoint);
    assert_eq!(short.checkpoint.settings, CheckpointSettings::default());
    let task = |flow: &FlowDef| {
        let task = &flow.tasks[0];
        (task.on_bad_row, task.max_bad_rows, task.retry, task.delay, task.timeout)
    };
    assert_eq!(task(&spelled), task(&short));
}

#[test]
fn every_key_is_described() {
    fn walk(keys: &[Key]) {
        for key in keys {
            assert!(key.description.ends_with('.') && key.description.len() > 10, "{}", key.name);
            match key.kind {
                Kind::Section(keys) | Kind::Tasks(keys) => walk(keys),
                _ => {}
            }
        }
    }
    walk(keys::FLOW);
    walk(keys::PARAM);
}
