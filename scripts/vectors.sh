#!/usr/bin/env bash
# Makes catalogue/vectors/*.json anew with the providers' own SDKs, or with --check compares them. Installing the
# SDKs needs the network once; making vectors does not.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

folder=clients/vectors
have node || fail "node is missing; run make setup"
if ! cmp -s "$folder/package-lock.json" "$folder/node_modules/.lock"; then
    say "installing the providers' Node SDKs into $folder/node_modules"
    npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --loglevel=error
    cp "$folder/package-lock.json" "$folder/node_modules/.lock"
fi
if ! cmp -s "$folder/python/requirements.txt" "$folder/.venv/.lock"; then
    say "installing the providers' Python SDKs into $folder/.venv"
    [ -x "$folder/.venv/bin/python" ] || python3 -m venv "$folder/.venv"
    "$folder/.venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$folder/python/requirements.txt"
    cp "$folder/python/requirements.txt" "$folder/.venv/.lock"
fi
cd "$folder"
exec node make.js "$@"
