//! Files that are large, deep, broken or random: always an answer, never a panic.

use proptest::prelude::*;

use super::*;
use crate::planner::fake_plugins::catalogue;
use crate::planner::{PlanOptions, plan_document};

/// A flow that is planned, so that its mutants reach the planner.
const PLANNED: &str = "
flow: x
params: { n: 3 }
delivery: exactly_once
tasks:
  - { id: a, plugin: FakerInput, config: { dataset: orders, rows: '${params.n}', changes: true } }
  - { id: b, plugin: Switch, from: a, tables: [x], config: { cases: [{ port: p, when: w }, { port: q, when: w }] } }
  - { id: c, plugin: Union, from: [b.p, b.q, a] }
  - { id: d, plugin: Join, from: [c, a] }
  - { id: z, plugin: DuckDBOutput, from: d, retry: { max: 1 }, config: { path: x, mode: upsert } }
";

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
    let passwords: String = (0..2_000).map(|i| format!("    password{i}: hunter-{i}-hunter\n")).collect();
    let text = format!("flow: x\ntasks:\n- id: a\n  plugin: P\n  config:\n{passwords}");
    let shown = read_with("f.yaml", &text, &[]).found.to_string();
    assert!(!shown.contains("hunter-"), "{}", &shown[..200]);
    // One line: the place of a token must not be counted from its beginning.
    let items = "ü,".repeat(100_000);
    assert!(document("f.yaml", &format!("flow: [{items}]")).is_ok());
    let items = "1,".repeat(300_000);
    assert!(document("f.json", &format!("{{\"flow\": [{items}1]}}")).is_ok());
    let attributes: String = (0..60_000).map(|i| format!(" a{i}='ü'")).collect();
    assert_eq!(read_with("f.xml", &format!("<flow{attributes}/>"), &[]).found.0.len(), 200);
    let expansions = "${x}".repeat(100_000);
    assert_eq!(read_with("f.json", &format!("{{\"flow\": \"{expansions}\"}}"), &[]).found.0.len(), 1);
    let tasks: String = (0..501).map(|i| format!("  - {{ id: t{i}, plugin: P }}\n")).collect();
    let found = read_with("f.yaml", &format!("flow: x\ntasks:\n{tasks}"), &[]).found;
    assert_eq!((found.0.len(), found.0[0].line), (1, 503));
}

proptest! {
    #[test]
    fn random_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200), ending in prop_oneof!["yaml", "json", "xml", ""]) {
        answered(&format!("f.{ending}"), &bytes);
    }
}

/// Reads whatever it is given, renders what is wrong, and never panics.
fn answered(path: &str, bytes: &[u8]) {
    let params = BTreeMap::new();
    let lookup = Lookup { params: &params, env: &|_| None, file: &|_| Err(std::io::ErrorKind::NotFound.into()) };
    let found = match Source::new(path, bytes).and_then(Document::parse) {
        Ok(document) => match plan_document(&document, &catalogue(), &PlanOptions::default(), &lookup) {
            Ok(planned) => planned.warnings,
            Err(found) => found,
        },
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
        let (path, text) = [("f.yaml", YAML), ("f.json", JSON), ("f.xml", XML), ("f.yaml", PLANNED)][mutant % 4];
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
