#!/usr/bin/env bash
# Runs every test of the workspace; nextest where it is installed, cargo test otherwise.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The kinds of brokers are features, because each brings a library of its own.
features=(--features becket/queues)

# First, so that what cargo builds has the dashboard in it.
scripts/dashboard.sh

if cargo nextest --version >/dev/null 2>&1; then
    say "cargo nextest run --workspace"
    # Documentation examples are not nextest's business, so they go first and its summary is last.
    cargo test --workspace "${features[@]}" --doc --quiet
    exec cargo nextest run --workspace "${features[@]}" "$@"
fi
say "cargo-nextest is not installed; using cargo test"
exec cargo test --workspace "${features[@]}" "$@"
