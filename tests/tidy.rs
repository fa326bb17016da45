//! House rules that a compiler does not check.

use std::path::{Path, PathBuf};

/// Longest source file, in lines.
const LINES_MAX: usize = 500;

fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["src", "engine", "connectors", "operators", "checkpoint", "wasm", "tests", "benches"] {
        walk(&root.join(folder), &mut found);
    }
    assert!(found.len() > 100, "the sources are where they are looked for");
    found
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn offenders(rule: impl Fn(&Path, &str) -> bool) -> Vec<String> {
    let read = |path: &PathBuf| std::fs::read_to_string(path).expect("a source is text");
    sources().iter().filter(|path| rule(path, &read(path))).map(|path| path.display().to_string()).collect()
}

#[test]
fn files_are_short() {
    assert_eq!(offenders(|_, text| text.lines().count() > LINES_MAX), Vec::<String>::new());
}

#[test]
fn crates_that_one_folder_knows_are_known_by_no_other() {
    let rules = [
        ("actix", "engine/src/runtime/"),
        ("datafusion", "operators/src/sql/"),
        ("sled", "checkpoint/"),
        ("redb", "checkpoint/"),
        ("rhai", "operators/src/function/script/"),
        ("wasmtime", "wasm/src/"),
        ("aqueduct_wasm", "operators/src/function/component/"),
    ];
    for (name, home) in rules {
        let import = format!("use {name}::");
        let found = offenders(|path, text| {
            let path = path.display().to_string();
            !path.contains(home)
                && !path.contains("/benches/")
                && text.lines().any(|line| line.trim_start().starts_with(&import))
        });
        assert_eq!(found, Vec::<String>::new(), "{name} is used outside {home}");
    }
}

#[test]
fn nothing_is_ignored_or_left_to_do() {
    // Put together here, so that this file does not offend.
    let words = [concat!("#[ig", "nore"), concat!("to", "do!("), concat!("unimple", "mented!(")];
    let found = offenders(|_, text| words.iter().any(|word| text.contains(word)));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn connectors_and_operators_do_not_see_the_engine() {
    let found = offenders(|path, text| {
        let path = path.display().to_string();
        (path.contains("/connectors/src/") || path.contains("/operators/src/"))
            && ["aqueduct_engine", "aqueduct_checkpoint"].iter().any(|name| text.contains(name))
    });
    assert_eq!(found, Vec::<String>::new());
}
