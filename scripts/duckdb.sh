#!/bin/sh
# Places DuckDB's prebuilt library into a folder: scripts/duckdb.sh FOLDER. Compiling it would take 12 minutes.
# It comes from the package that DuckDB's own Node.js client is made of, and its checksum is checked.
set -eu

folder=$1
version=1.5.4-r.1
case $(uname -m) in
x86_64)
    package=@duckdb/node-bindings-linux-x64@$version
    sum=d7f30ef2ef4b813edb94ce82906329cc689672624a4161617ea33431040ce174
    ;;
aarch64)
    package=@duckdb/node-bindings-linux-arm64@$version
    sum=e8cb8c234ade5e6ccd722d727725cb38582ebe4554630dbec66f874155db246a
    ;;
*)
    echo "setup: no prebuilt DuckDB for $(uname -m): build with --features duckdb-bundled" >&2
    exit 1
    ;;
esac

[ "$(cat "$folder/version" 2>/dev/null)" != "$package" ] || [ ! -e "$folder/libduckdb.so" ] || exit 0

echo "setup: fetching the DuckDB library ($package)"
mkdir -p "$folder"
work=$(mktemp -d "$folder/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "$package" >/dev/null && tar -xzf ./*.tgz package/libduckdb.so)
echo "$sum  $work/package/libduckdb.so" | sha256sum --check --quiet || {
    echo "setup: the DuckDB library is not the one that was expected" >&2
    exit 1
}
mv "$work/package/libduckdb.so" "$folder/libduckdb.so"
echo "$package" >"$folder/version"
