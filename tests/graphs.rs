//! Promise: `aqueduct graph` draws a flow as its file says, the same way every time.
//!
//! The drawings of the examples are beside them, as `graph.svg`, and shown by their pages; Mermaid and DOT are in
//! `tests/graphs`. After a change on purpose: `aqueduct graph FLOW --format … > FILE`.

use std::path::{Path, PathBuf};

use crate::harness::{Finished, program};

/// What examples ask the environment for.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("SHOP_URL", "mysql://reader:secret-of-the-test@localhost/shop"),
    ("SHARDS_URL", "mysql://reader:secret-of-the-test@localhost"),
    ("SOURCE_URL", "postgres://reader:secret-of-the-test@localhost/shop"),
    ("TARGET_URL", "postgres://writer:secret-of-the-test@localhost/shop"),
    ("MASKING_KEY", "0000000000000000000000000000000000000000000000000000000000000001"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn graph(example: &str, format: &str) -> String {
    let flow = root().join("examples").join(example).join("flow.yaml");
    let mut command = program();
    command.args(["graph", "--format", format]).arg(flow).envs(ENVIRONMENT);
    let Finished { stdout, .. } = Finished::of(&mut command).ok();
    assert!(!stdout.contains("secret-of-the-test"), "{stdout}");
    stdout
}

fn examples() -> Vec<String> {
    let folders = std::fs::read_dir(root().join("examples")).expect("the examples");
    let names = folders.map(|folder| folder.expect("a folder"));
    let mut names: Vec<String> = names
        .filter(|folder| folder.path().join("flow.yaml").is_file())
        .map(|folder| folder.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(names.len() >= 8, "{names:?}");
    names
}

#[test]
fn the_drawings_of_the_examples_are_up_to_date() {
    let mut stale = Vec::new();
    for example in examples() {
        let folder = root().join("tests/graphs");
        let files: [(&str, PathBuf); 3] = [
            ("svg", root().join("examples").join(&example).join("graph.svg")),
            ("mermaid", folder.join(format!("{example}.mmd"))),
            ("dot", folder.join(format!("{example}.dot"))),
        ];
        for (format, file) in files {
            if std::fs::read_to_string(&file).ok() != Some(graph(&example, format)) {
                stale.push(format!(
                    "aqueduct graph examples/{example}/flow.yaml --format {format} > {}",
                    file.display()
                ));
            }
        }
    }
    assert!(stale.is_empty(), "out of date; look at what changed and then run:\n{}", stale.join("\n"));
}

#[test]
fn a_bad_flow_is_not_drawn() {
    let work = crate::harness::Work::with_flow("flow: x\ntasks:\n  - { id: a, plugin: FakerInptu }\n");
    let refused = work.aqueduct(&["graph", "flow.yaml"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""));
    assert!(refused.stderr.contains("flow.yaml:3:22") && refused.stderr.contains("FakerInput"), "{}", refused.stderr);
}
