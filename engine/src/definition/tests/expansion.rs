//! Parameters, environment, files, secrets.

use proptest::prelude::*;

use super::*;

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
    let filler = "x".repeat(60);
    let text = format!(
        "flow: x\ntasks: [{{ id: a, plugin: P, config: {{ password: hunter2hunter3 }}, description: {filler}, nope: 1 }}]\n"
    );
    let found = read_with("f.yaml", &text, &[]).found;
    assert!(found.to_string().contains("nope") && !found.to_string().contains("hunter"), "half of it either: {found}");
    let found = document("f.yaml", "flow: x\npassword: hunter2: x\n").unwrap_err();
    assert!(!found.to_string().contains("hunter2"), "{found}");
    let found =
        read_with("f.yaml", "flow: x\ntasks:\n  - { id: a, plugin: P, config: { password: hunter2 }, nope: 1 }\n", &[])
            .found;
    assert!(!found.to_string().contains("hunter2") && found.to_string().contains("password: ***"), "{found}");
}

proptest! {
    #[test]
    fn redaction_leaves_no_secret(secret in "[a-z0-9]{4,20}", before in "[ -~]{0,20}", after in "[ -~]{0,20}") {
        let mut secrets = Secrets::default();
        secrets.add(&secret);
        let clean = secrets.redact(&format!("{before}{secret}{after}"));
        prop_assert!(!clean.contains(&secret));
    }
}
