#!/bin/sh
# Installs what a build needs and this machine lacks: Debian packages, Rust, the prebuilt DuckDB library; with the word
# `test` behind it also the database servers that the tests start.
# As root, or as a user with sudo. Says nothing and takes no time when everything is there.
set -eu
cd "$(dirname "$0")/.."

# The oldest Rust that builds this (rust-version in Cargo.toml).
rust_minor=95

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "needs root to run: $*"
    fi
}

have() {
    command -v "$1" >/dev/null 2>&1
}

apt_install() {
    have apt-get || fail "this machine has no apt-get; install these yourself: $*"
    printf 'setup: installing %s\n' "$*"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

rust_is_new_enough() {
    have cargo && have rustc || return 1
    minor=$(rustc --version 2>/dev/null | sed -n 's/^rustc 1\.\([0-9]*\).*/\1/p')
    [ -n "$minor" ] && [ "$minor" -ge "$rust_minor" ]
}

# A C and a C++ compiler for the bundled SQLite and zstd, and the linker; npm to fetch the DuckDB library.
missing=""
have cc || missing="$missing gcc libc6-dev"
have c++ || missing="$missing g++"
have pkg-config || missing="$missing pkg-config"
duckdb=${DUCKDB_LIB_DIR:-.deps/duckdb}
if ! [ -e "$duckdb/libduckdb.so" ] && ! have npm; then
    missing="$missing npm ca-certificates"
fi
# shellcheck disable=SC2086 # one word per package
[ -z "$missing" ] || apt_install $missing

if ! rust_is_new_enough; then
    have rustup || apt_install rustup || fail "Rust 1.$rust_minor or newer is needed, and this Debian has no package \
'rustup' (Debian 13 has): install rustup as its makers say, then try again"
    rustup toolchain install stable --profile minimal --component rustfmt --component clippy
    rustup default stable
    rust_is_new_enough || fail "Rust 1.$rust_minor or newer is needed; this is $(rustc --version)"
fi

scripts/duckdb.sh "$duckdb"
[ "${1:-}" != test ] || scripts/servers.sh
