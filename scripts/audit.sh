#!/usr/bin/env bash
# Licences, sources and duplicate versions of every dependency, and known vulnerabilities where
# the advisory database can be fetched. A check that cannot be made is named as skipped.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

deny=(cargo deny)
if ! cargo deny --version >/dev/null 2>&1; then
    deny=(target/tools/bin/cargo-deny)
    if [ ! -x "${deny[0]}" ]; then
        say "installing cargo-deny into target/tools (several minutes, once)"
        cargo install --locked --quiet --root target/tools cargo-deny
    fi
fi

say "bans, licences, sources"
"${deny[@]}" --all-features check bans licenses sources

say "advisories"
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
if timeout 60 "${deny[@]}" --all-features fetch db >"$log" 2>&1; then
    "${deny[@]}" --all-features check --disable-fetch advisories
else
    tail -n 3 "$log" >&2
    say "SKIPPED: the advisory database cannot be reached from this machine, so known" \
        "vulnerabilities were NOT checked; run 'make audit' again where it can be"
fi
