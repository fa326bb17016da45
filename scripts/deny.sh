#!/bin/sh
# Licences, banned crates, sources, and known vulnerabilities. Installs cargo-deny when it is missing (2 to 3 minutes).
set -eu
cd "$(dirname "$0")/.."

version=0.20.2
tools=${XDG_CACHE_HOME:-$HOME/.cache}/aqueduct/tools
PATH=$tools/bin:$PATH

if [ "$(cargo deny --version 2>/dev/null)" != "cargo-deny $version" ]; then
    echo "deny: installing cargo-deny $version"
    # Unoptimised: it runs for seconds. Its own target folder, so that ours does not grow.
    cargo install --quiet --debug --locked --version "$version" --root "$tools" --target-dir "$tools/build" cargo-deny
    rm -rf "$tools/build"
fi

cargo deny --locked check bans licenses sources
# The advisories lie in a public repository that not every machine can reach; without it nothing is known, which is not
# a finding.
if cargo deny --locked fetch db >/dev/null 2>&1; then
    cargo deny --locked check --disable-fetch advisories
else
    echo "deny: the advisory database cannot be reached from here; advisories were NOT checked"
fi
