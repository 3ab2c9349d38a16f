#!/usr/bin/env bash
# Fails databases over while the gateway runs on them, and what these drills need.
#
#   scripts/failover.sh                        the drills: by hand, asynchronous, with Patroni
#   scripts/failover.sh standby FOLDER PORT    copies the server on PORT into FOLDER/data, as a standby
#   scripts/failover.sh etcd FOLDER PORT PORT  serves etcd for clients and for peers on these ports
#   scripts/failover.sh patroni FILE           serves the member of a Patroni cluster that FILE describes
#
# BECKET_FAILOVERS (10) says how many of each. Folders' parents must be readable by everybody, because
# PostgreSQL refuses to run as root.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

as=()
if [ "$(id -u)" -eq 0 ]; then
    user=postgres
    id "$user" >/dev/null 2>&1 || user=nobody
    as=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups)
fi

# The folder belongs to the one who runs the server.
take_folder() {
    mkdir -p "$1"
    if [ ${#as[@]} -gt 0 ]; then chown "$user" "$1"; fi
}

copy_standby() {
    local folder="$1" port="$2" bin
    bin="$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)"
    [ -n "$bin" ] || bin="$(dirname "$(command -v initdb)")" || fail "initdb is missing; run: make setup"
    take_folder "$folder"
    rm -rf "$folder/data"
    cd "$folder"
    "${as[@]}" "$bin/pg_basebackup" --dbname="host=127.0.0.1 port=$port user=postgres" \
        --pgdata="$folder/data" --write-recovery-conf --wal-method=stream --checkpoint=fast --no-sync
}

install_missing() {
    local missing=() pair sudo=()
    for pair in patroni:patroni etcd:etcd-server; do
        have "${pair%%:*}" || missing+=("${pair##*:}")
    done
    # Patroni speaks to PostgreSQL with this.
    /usr/bin/python3 -c 'import psycopg2' 2>/dev/null || missing+=(python3-psycopg2)
    [ ${#missing[@]} -eq 0 ] && return
    say "installing Debian packages: ${missing[*]}"
    have apt-get || fail "no apt-get here; install these by other means: ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        have sudo || fail "not root and no sudo; as root, run: apt-get install ${missing[*]}"
        sudo=(sudo)
    fi
    "${sudo[@]}" apt-get update -qq
    # What is installed is started by the drills alone. An administrator's own policy stays as it is.
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

case "${1:-}" in
standby)
    [ $# -eq 3 ] || fail "usage: $0 standby FOLDER PORT"
    copy_standby "$2" "$3"
    ;;
etcd)
    [ $# -eq 4 ] || fail "usage: $0 etcd FOLDER PORT PORT"
    # The next one exits with this script: nothing stands between the caller and the server.
    exec etcd --data-dir "$2" --name one --log-level error --unsafe-no-fsync \
        --listen-client-urls "http://127.0.0.1:$3" --advertise-client-urls "http://127.0.0.1:$3" \
        --listen-peer-urls "http://127.0.0.1:$4" --initial-advertise-peer-urls "http://127.0.0.1:$4" \
        --initial-cluster "one=http://127.0.0.1:$4"
    ;;
patroni)
    [ $# -eq 2 ] || fail "usage: $0 patroni FILE"
    take_folder "$(dirname "$2")"
    cd "$(dirname "$2")"
    exec "${as[@]}" patroni "$2"
    ;;
"")
    install_missing
    export BECKET_FAILOVERS="${BECKET_FAILOVERS:-10}"
    cargo test --package becket --test failover -- --nocapture --test-threads 1
    cargo test --package becket --test failover_long -- --nocapture --test-threads 1
    ;;
*)
    fail "usage: $0 [standby FOLDER PORT | etcd FOLDER PORT PORT | patroni FILE]"
    ;;
esac
