#!/bin/sh
# Makes a Python environment in the folder that is named and installs what is measured beside us: for `make bench` only,
# never for a build or a test.
set -eu
folder=$1
python3 -m venv "$folder"
if ! "$folder/bin/pip" install --quiet --disable-pip-version-check 'bytewax==0.21.1'; then
    echo "Bytewax cannot be installed: is there a network, and a Python (3.8 to 3.12) that it has a wheel for?" >&2
    exit 1
fi
