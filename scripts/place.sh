#!/bin/sh
# Places a built program as bin/aqueduct, with the DuckDB library beside it: scripts/place.sh PROGRAM DUCKDB_FOLDER.
set -eu
cd "$(dirname "$0")/.."

mkdir -p bin
# A link where the target folder is on the same disk; a running daemon keeps the file that it was started from.
ln -f "$1" bin/aqueduct 2>/dev/null || cp -f "$1" bin/aqueduct
ln -sf "$(realpath "$2")/libduckdb.so" bin/libduckdb.so
