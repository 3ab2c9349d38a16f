#!/usr/bin/env bash
# Installs what the build and the tests need and this machine lacks. It says what it installs,
# and when nothing is missing it only looks, which takes well under a second.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# command:package. g++ builds libFuzzer; strace injects disk errors; pebble is an ACME test
# server; chromium shows the dashboard in tests; the rest is used by the scripts themselves.
debian_commands=(gcc:gcc g++:g++ curl:curl openssl:openssl strace:strace pebble:pebble
    mount:mount node:nodejs npm:npm python3:python3 exim4:exim4-daemon-light tmux:tmux
    pgrep:procps psql:postgresql nats-server:nats-server redis-server:redis-server
    rabbitmq-server:rabbitmq-server pgbouncer:pgbouncer chromium:chromium)
# Debian keeps servers where not every user's path looks.
PATH="$PATH:/usr/sbin:/sbin"

install_debian() {
    local missing=() pair
    for pair in "${debian_commands[@]}"; do
        have "${pair%%:*}" || missing+=("${pair##*:}")
    done
    python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
    # The client alone is not enough, and the server's programs are on nobody's path.
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || have initdb || missing+=(postgresql)
    [ ${#missing[@]} -eq 0 ] && return
    say "installing Debian packages: ${missing[*]}"
    have apt-get || fail "no apt-get here; install these by other means: ${missing[*]}"
    local sudo=()
    if [ "$(id -u)" -ne 0 ]; then
        have sudo || fail "not root and no sudo; as root, run: apt-get install ${missing[*]}"
        sudo=(sudo)
    fi
    "${sudo[@]}" apt-get update -qq
    # The tests start servers of their own, on ports of their own: the system's are not to be started
    # by being installed. An administrator's own policy stays as it is.
    local policy=/usr/sbin/policy-rc.d ours=
    if [ ! -e "$policy" ]; then
        ours="$policy"
        printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
        "${sudo[@]}" chmod 755 "$policy"
        # shellcheck disable=SC2064
        trap "${sudo[*]} rm -f $policy" EXIT
    fi
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    if [ -n "$ours" ]; then
        "${sudo[@]}" rm -f "$ours"
        trap - EXIT
    fi
}

install_rust_tools() {
    have cargo || fail "cargo is missing; install the Rust toolchain that rust-toolchain.toml names"
    cargo fmt --version >/dev/null 2>&1 || { say "adding rustfmt"; rustup component add rustfmt; }
    cargo clippy --version >/dev/null 2>&1 || { say "adding clippy"; rustup component add clippy; }
}

install_node() {
    install_packages clients/node "the official Node SDKs"
    install_packages clients/browser "what drives the browser in tests"
}

install_python() {
    local lock=clients/python/requirements.txt stamp=.venv/.installed
    up_to_date "$lock" "$stamp" && return
    say "installing the official Python SDKs into .venv"
    [ -x .venv/bin/python ] || python3 -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
    sha256sum <"$lock" >"$stamp"
}

# Apart from the SDKs: its dependencies are many, and none of them may change theirs.
install_schemathesis() {
    local lock=clients/schemathesis/requirements.txt stamp=.venv-schemathesis/.installed
    up_to_date "$lock" "$stamp" && return
    say "installing schemathesis into .venv-schemathesis"
    [ -x .venv-schemathesis/bin/python ] || python3 -m venv .venv-schemathesis
    .venv-schemathesis/bin/python -m pip install --quiet --disable-pip-version-check \
        --require-hashes -r "$lock"
    sha256sum <"$lock" >"$stamp"
}

install_debian
install_rust_tools
install_node
install_python
install_schemathesis
say "everything needed is here"
