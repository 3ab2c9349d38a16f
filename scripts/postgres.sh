#!/usr/bin/env bash
# PostgreSQL for tests: on loopback, for the user `postgres` without a password, with durability off.
#
#   scripts/postgres.sh run FOLDER PORT [SETTING=VALUE]...
#
# A private server: makes a cluster in FOLDER if there is none, serves it on 127.0.0.1:PORT, and stops
# when its standard input ends: a test that dies takes it along.
#
#   scripts/postgres.sh shared [FOLDER]
#
# One server for many tests, each with a schema of its own: starts it if it does not run, and prints
# its URL. It ends by itself when nobody has asked for it or been connected for a minute; its data
# goes with it.
#
# FOLDER's parents must be readable by everybody, because PostgreSQL refuses to run as root.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

self="$PWD/scripts/postgres.sh"
usage="usage: $0 run FOLDER PORT [SETTING=VALUE]... | shared [FOLDER]"
as=()

# Debian keeps the programs of each version in a folder that is not on the path.
find_programs() {
    bin="$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)"
    [ -n "$bin" ] || bin="$(dirname "$(command -v initdb)")" || fail "initdb is missing; run: make setup"
}

# make_cluster FOLDER: as somebody who is not root.
make_cluster() {
    mkdir -p "$1"
    if [ "$(id -u)" -eq 0 ]; then
        user=postgres
        id "$user" >/dev/null 2>&1 || user=nobody
        chown "$user" "$1"
        as=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups)
    fi
    cd "$1"
    [ ! -f "$1/data/PG_VERSION" ] || return 0
    "${as[@]}" "$bin/initdb" --pgdata="$1/data" --username=postgres --auth=trust \
        --encoding=UTF8 --locale=C --no-sync >"$1.initdb.log" 2>&1 ||
        fail "initdb failed: $(tail -n 3 "$1.initdb.log")"
    rm -f "$1.initdb.log"
}

# start FOLDER PORT [SETTING=VALUE]...: in the background, as $server.
start() {
    local folder="$1" port="$2" settings=() setting
    shift 2
    for setting in listen_addresses=127.0.0.1 "port=$port" unix_socket_directories= fsync=off "$@"; do
        settings+=(-c "$setting")
    done
    "${as[@]}" "$bin/postgres" -D "$folder/data" "${settings[@]}" </dev/null &
    server=$!
    # Immediate: what is in the folder is thrown away, or recovered by the next start.
    trap 'kill -QUIT "$server" 2>/dev/null; wait "$server" 2>/dev/null' EXIT
}

answers() {
    "$bin/pg_isready" -q -U postgres -h 127.0.0.1 -p "$1" -t 2
}

# Serves until nobody has used it for a minute. Holds the lock while it decides, so that nobody is
# given the address of a server that is about to end.
serve_shared() {
    local folder="$1" port="$2" idle=0 connected
    make_cluster "$folder/server"
    start "$folder/server" "$port" max_connections=300 full_page_writes=off wal_level=minimal \
        max_wal_senders=0 max_locks_per_transaction=1024 shared_buffers=128MB autovacuum_naptime=5min
    while kill -0 "$server" 2>/dev/null; do
        sleep 5
        connected="$("$bin/psql" -X -q -t -A -h 127.0.0.1 -p "$port" -U postgres -d postgres -c \
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'" || echo 2)"
        if [ "$connected" -gt 1 ] || [ -n "$(find "$folder/used" -newermt '-60 seconds')" ]; then
            idle=0
            continue
        fi
        idle=$((idle + 5))
        [ "$idle" -ge 60 ] || continue
        exec 9>"$folder/lock"
        flock 9
        [ -z "$(find "$folder/used" -newermt '-60 seconds')" ] || { exec 9>&-; continue; }
        rm -f "$folder/port"
        kill -QUIT "$server"
        wait "$server" || true
        rm -rf "$folder/server"
        exit 0
    done
}

share() {
    local folder="$1" port="" log="$1/server.log"
    mkdir -p "$folder"
    chmod 755 "$folder"
    exec 9>"$folder/lock"
    flock 9
    touch "$folder/used"
    [ ! -f "$folder/port" ] || port="$(cat "$folder/port")"
    if [ -z "$port" ] || ! answers "$port"; then
        rm -rf "$folder/server" "$folder/port"
        for _ in 1 2 3 4 5; do
            # Somebody may have the port; then the server ends at once, and another is tried.
            port=$((20000 + RANDOM % 12000))
            # Not a child of the test, which must not wait for it, nor take it along.
            setsid "$self" serve-shared "$folder" "$port" </dev/null >"$log" 2>&1 9>&- &
            while kill -0 $! 2>/dev/null && ! answers "$port"; do sleep 0.1; done
            sleep 0.1
            ! kill -0 $! 2>/dev/null || break
        done
        answers "$port" || fail "PostgreSQL does not start: $(tail -n 3 "$log")"
        echo "$port" >"$folder/port"
    fi
    echo "postgres://postgres@127.0.0.1:$port/postgres"
}

find_programs
case "${1:-}" in
run)
    [ $# -ge 3 ] || fail "$usage"
    shift
    make_cluster "$1"
    start "$@"
    cat >/dev/null
    ;;
shared) share "${2:-${TMPDIR:-/tmp}/becket-postgres-$(id -u)}" ;;
serve-shared) serve_shared "$2" "$3" ;;
*) fail "$usage" ;;
esac
