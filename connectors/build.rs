//! Lets this crate's own test programs find the prebuilt DuckDB library at run time.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-env-changed=DUCKDB_LIB_DIR");
    println!("cargo:rerun-if-changed=build.rs");
    let linked = std::env::var_os("CARGO_FEATURE_DUCKDB").is_some();
    let bundled = std::env::var_os("CARGO_FEATURE_DUCKDB_BUNDLED").is_some();
    if !linked || bundled {
        return;
    }
    if let Some(folder) = std::env::var_os("DUCKDB_LIB_DIR") {
        let folder = Path::new(&folder);
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
}
