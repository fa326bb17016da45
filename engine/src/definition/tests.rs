use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

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

#[test]
fn expansion() {
    let config = |settings: &str| {
        let text = format!(
            "flow: x\nparams: {{ n: 3, s: abc, l: [a, 2], e: \"${{env:NUMBER}}\", t: {{ type: integer, default: \"${{env:NUMBER}}\" }} }}\ntasks:\n  - {{ id: a, plugin: P, config: {{ v: {settings} }} }}\n"
        );
        let Reading { flow, found, secrets } = read_with("f.yaml", &text, &[]);
        assert!(found.0.is_empty(), "{found}");
        (flow.unwrap().tasks[0].config.to_json()["v"].clone(), secrets)
    };
    for (text, expected) in [
        (r#""${params.n}""#, serde_json::json!(3)),
        (r#""${params.t}""#, serde_json::json!(12)),
        (r#""${params.e}""#, serde_json::json!("12")),
        (r#""x${params.n}y${params.s}""#, serde_json::json!("x3yabc")),
        (r#""${params.l}""#, serde_json::json!(["a", 2])),
        (r#""$${params.n} $ $$ }""#, serde_json::json!("${params.n} $ $$ }")),
        (r#""$${${params.n}}""#, serde_json::json!("${3}")),
        (r#""${env:SET}/x""#, serde_json::json!("from-env/x")),
        (r#""${env:NONE:-d:-e}""#, serde_json::json!("d:-e")),
        (r#""${env:NONE:-}""#, serde_json::json!("")),
        (r#""${env:EMPTY:-d}""#, serde_json::json!("d")),
        (r#""${env:EMPTY}""#, serde_json::json!("")),
        (r#""${file:pw.txt}""#, serde_json::json!("s3cret-of-file")),
        (r#"[{ a: "${params.n}" }]"#, serde_json::json!([{ "a": 3 }])),
    ] {
        assert_eq!(config(text).0, expected, "{text}");
    }
    assert_eq!(config(r#""${file:pw.txt}""#).1.redact("pw=s3cret-of-file;"), "pw=***;");
    assert_eq!(config(r#""${env:SET}""#).1.redact("x from-env"), "x ***");
    assert!(config("1").1.redact("12 twelve") == "12 twelve", "short values are not masked");
}

#[test]
fn given_parameters_take_the_declared_type() {
    let text = "flow: x\nparams:\n  n: 3\n  s: abc\n  f: { type: number, default: 1 }\n  l: { type: list, description: several }\n  b: false\ntasks:\n  - { id: a, plugin: P, config: { n: '${params.n}', s: '${params.s}', f: '${params.f}', l: '${params.l}', b: '${params.b}' } }\n";
    let given = [("n", "5"), ("s", "6"), ("f", "2.5"), ("l", "a, 2"), ("b", "true")];
    let Reading { flow, found, .. } = read_with("f.yaml", text, &given);
    assert!(found.0.is_empty(), "{found}");
    let expected = serde_json::json!({ "n": 5, "s": "6", "f": 2.5, "l": ["a", 2], "b": true });
    assert_eq!(flow.unwrap().tasks[0].config.to_json(), expected);
    let found = read_with("f.yaml", text, &[("n", "five"), ("m", "1"), ("l", "x")]).found;
    let causes: Vec<&str> = found.0.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(causes.len(), 2, "{causes:?}");
    assert!(causes[0].contains("no parameter `m`") && causes[1].contains("must be of type integer"), "{causes:?}");
}

#[test]
fn the_line_of_a_password_is_not_shown() {
    let found = document("f.yaml", "flow: x\npassword: hunter2: x\n").unwrap_err();
    assert!(!found.to_string().contains("hunter2"), "{found}");
    let found =
        read_with("f.yaml", "flow: x\ntasks:\n  - { id: a, plugin: P, config: { password: hunter2 }, nope: 1 }\n", &[])
            .found;
    assert!(!found.to_string().contains("hunter2") && found.to_string().contains("password: ***"), "{found}");
}

#[test]
fn large_and_deep_files_are_refused() {
    let big = format!("flow: x\ndescription: {}\n", "x".repeat(10 << 20));
    assert!(document("f.yaml", &big).unwrap_err().to_string().contains("larger than 1024 KiB"));
    const DEPTH: usize = 10_000;
    for (path, text) in [
        ("f.yaml", format!("flow: {}x{}", "[".repeat(DEPTH), "]".repeat(DEPTH))),
        ("f.yaml", format!("flow:\n{}", (1..1_000).map(|i| format!("{}- \n", " ".repeat(i))).collect::<String>())),
        ("f.yaml", format!("flow: {}", "- ".repeat(DEPTH))),
        ("f.yaml", "- ".repeat(DEPTH)),
        ("f.yaml", "? ".repeat(DEPTH)),
        ("f.json", format!("{{\"flow\": {}{}}}", "[".repeat(DEPTH), "]".repeat(DEPTH))),
        ("f.json", "{\"a\":".repeat(DEPTH)),
        ("f.xml", format!("<flow>{}{}</flow>", "<a>".repeat(DEPTH), "</a>".repeat(DEPTH))),
    ] {
        let found = document(path, &text).map(|_| ()).unwrap_err();
        assert!(!found.0.is_empty(), "{path}");
    }
    let nested = format!("{{\"flow\": {}1{}}}", "[".repeat(63), "]".repeat(63));
    assert!(document("f.json", &nested).is_ok());
    let nested = format!("{{\"flow\": {}1{}}}", "[".repeat(64), "]".repeat(64));
    assert_eq!(document("f.json", &nested).unwrap_err().0[0].message, "nested deeper than 64 levels");
}

#[test]
fn many_keys_and_many_mistakes_take_no_time_to_speak_of() {
    let many: String = (0..60_000).map(|i| format!("k{i}: 1\n")).collect();
    assert_eq!(read_with("f.yaml", &many, &[]).found.0.len(), 200);
    let tasks: String = (0..501).map(|i| format!("  - {{ id: t{i}, plugin: P }}\n")).collect();
    let found = read_with("f.yaml", &format!("flow: x\ntasks:\n{tasks}"), &[]).found;
    assert_eq!((found.0.len(), found.0[0].line), (1, 503));
}

/// Values that all three formats can hold.
fn value() -> impl Strategy<Value = serde_json::Value> {
    let text = prop_oneof![
        "[a-z]{1,8}",
        "[ -~]{1,12}",
        "[ä-ü世界]{1,4}",
        Just("007".to_owned()),
        Just("true".to_owned()),
        Just("~".to_owned())
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        (-1_000_000i64..1_000_000).prop_map(|n| serde_json::Value::from(n as f64 / 64.0)),
        text.prop_filter("no expansions", |text| !text.contains("${")).prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Into::into),
            proptest::collection::btree_map("[a-z][a-z0-9_]{0,6}", inner, 1..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Block-style YAML, as a person would write it.
fn to_yaml(value: &serde_json::Value, indent: usize) -> String {
    let pad = "  ".repeat(indent);
    match value {
        serde_json::Value::Object(map) if !map.is_empty() => {
            map.iter().map(|(key, value)| format!("\n{pad}{key}:{}", nested(value, indent))).collect()
        }
        serde_json::Value::Array(items) if !items.is_empty() => {
            items.iter().map(|item| format!("\n{pad}-{}", nested(item, indent))).collect()
        }
        simple => simple.to_string(),
    }
}

fn nested(value: &serde_json::Value, indent: usize) -> String {
    match value {
        serde_json::Value::Object(_) | serde_json::Value::Array(_) => to_yaml(value, indent + 1),
        simple => format!(" {simple}"),
    }
}

fn to_xml(name: &str, value: &serde_json::Value) -> String {
    let inner: String = match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::Array(items) => items.iter().map(|item| to_xml("item", item)).collect(),
        serde_json::Value::Object(map) => map.iter().map(|(key, value)| to_xml(key, value)).collect(),
        serde_json::Value::String(text) => format!("<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>")),
        other => other.to_string(),
    };
    format!("<{name}>{inner}</{name}>")
}

proptest! {
    #[test]
    fn what_is_written_is_read(config in proptest::collection::btree_map("[a-z][a-z0-9_]{0,6}", value(), 1..5)) {
        let config = serde_json::Value::Object(config.into_iter().filter(|(key, _)| key != "description").collect());
        let flow = serde_json::json!({ "flow": "x", "tasks": [{ "id": "a", "plugin": "P", "config": config }] });
        let tasks = "<tasks><task id=\"a\" plugin=\"P\">";
        let xml = format!("<flow name=\"x\">{tasks}{}</task></tasks></flow>", to_xml("config", &config));
        for (path, text) in [("f.yaml", to_yaml(&flow, 0)), ("f.json", format!("{flow:#}")), ("f.xml", xml)] {
            let document = document(path, &text).map_err(|found| TestCaseError::fail(format!("{found}\n{text}")))?;
            let task = &document.root().get("tasks").unwrap().items()[0];
            let read = task.get("config").map(Node::to_json).unwrap_or_else(|| serde_json::json!({}));
            // An element without children is null in XML, whatever it stands for.
            if path != "f.xml" || has_no_item_key(&config) {
                prop_assert_eq!(&read, &config, "{}\n{}", path, text);
            }
        }
    }

    #[test]
    fn redaction_leaves_no_secret(secret in "[ -~]{4,20}", before in "[ -~]{0,20}", after in "[ -~]{0,20}") {
        let mut secrets = Secrets::default();
        secrets.add(&secret);
        prop_assert!(!secrets.redact(&format!("{before}{secret}{after}")).contains(&secret) || "***".contains(&secret));
    }

    #[test]
    fn random_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200), ending in prop_oneof!["yaml", "json", "xml", ""]) {
        answered(&format!("f.{ending}"), &bytes);
    }
}

/// `<item>` alone makes a list, so a map with that only key cannot be written in XML.
fn has_no_item_key(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Object(map) => {
            map.iter().all(|(key, value)| key != "item" && key != "tasks" && key != "entry" && has_no_item_key(value))
        }
        serde_json::Value::Array(items) => items.iter().all(has_no_item_key),
        _ => true,
    }
}

/// Reads whatever it is given, renders what is wrong, and never panics.
fn answered(path: &str, bytes: &[u8]) {
    let params = BTreeMap::new();
    let lookup = Lookup { params: &params, env: &|_| None, file: &|_| Err(std::io::ErrorKind::NotFound.into()) };
    let found = match Source::new(path, bytes).and_then(Document::parse) {
        Ok(document) => document.read(&lookup).found,
        Err(found) => {
            assert!(!found.0.is_empty(), "refused without a reason: {bytes:?}");
            found
        }
    };
    for diagnostic in &found.0 {
        assert!(
            diagnostic.line > 0
                && diagnostic.column > 0
                && !diagnostic.message.is_empty()
                && !diagnostic.hint.is_empty()
        );
        assert!(!diagnostic.to_string().chars().any(|c| c.is_control() && c != '\n'), "{diagnostic:?}");
    }
}

#[test]
fn mutated_files_are_answered() {
    use rand::{Rng, SeedableRng};
    const MUTANTS: usize = 12_000;
    let mut random = rand::rngs::StdRng::seed_from_u64(7);
    let noise: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "'",
        "<",
        ">",
        "&",
        "${",
        "$${",
        "}",
        "-",
        "?",
        "|",
        ">",
        "*a",
        "&a",
        "!t",
        "%",
        "\t",
        "\n",
        "\r",
        "\0",
        "é",
        "\u{feff}",
        "\u{2028}",
        "<![CDATA[",
        "<!--",
        "<?",
        "]]>",
        "&#0;",
        "&#x110000;",
        "\\ud800",
        "\\u0000",
        "1e999",
        "---",
        "...",
        "<<:",
        "~",
    ];
    for mutant in 0..MUTANTS {
        let (path, text) = [("f.yaml", YAML), ("f.json", JSON), ("f.xml", XML)][mutant % 3];
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..5) {
                0 => bytes[at] = random.random(),
                1 => drop(bytes.drain(at..(at + random.random_range(1..20)).min(bytes.len()))),
                2 => bytes.truncate(at.max(1)),
                3 => {
                    let piece: Vec<u8> = bytes[at..(at + random.random_range(1..40)).min(bytes.len())].to_vec();
                    let to = random.random_range(0..bytes.len());
                    bytes.splice(to..to, piece);
                }
                _ => drop(bytes.splice(at..at, noise[random.random_range(0..noise.len())].bytes())),
            }
            if bytes.is_empty() {
                bytes.push(b' ');
            }
        }
        answered(path, &bytes);
    }
}
