//! Lets the program and its tests find the prebuilt DuckDB library at run time, and figures say how they were built.

use std::path::Path;

/// Where the library lies seen from the program's own folder: beside it, in an installation's `lib`, or where
/// `make setup` puts it, seen from `bin`, `target/<profile>` and `target/<profile>/deps`.
const FOLDERS: [&str; 5] = ["", "/../lib", "/../.deps/duckdb", "/../../.deps/duckdb", "/../../../.deps/duckdb"];

fn main() {
    // 200,000 relocations take 15 MiB in the usual form, all of them read at every start; packed they take 0.3.
    println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    println!("cargo:rerun-if-env-changed=DUCKDB_LIB_DIR");
    println!("cargo:rerun-if-changed=build.rs");
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    println!("cargo:rustc-env=AQUEDUCT_BUILD={}", if release { "release" } else { "quick (dev profile)" });
    if std::env::var_os("CARGO_FEATURE_DUCKDB_BUNDLED").is_some() {
        return;
    }
    for folder in FOLDERS {
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN{folder}");
    }
    // A build that is only for this machine finds the library wherever the target folder is; a release names no path
    // of the machine that built it.
    if let Some(folder) = std::env::var_os("DUCKDB_LIB_DIR").filter(|_| !release) {
        let folder = Path::new(&folder);
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
}
