#!/usr/bin/env bash
# A private PostgreSQL for tests: in a folder of its own, on loopback, with durability off.
#
#   scripts/postgres.sh run FOLDER PORT [SETTING=VALUE]...
#
# Makes a cluster in FOLDER if there is none, serves it on 127.0.0.1:PORT for the user `postgres`
# without a password, and stops when its standard input ends: a test that dies takes it along.
# FOLDER's parents must be readable by everybody, because PostgreSQL refuses to run as root.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ "${1:-}" = run ] && [ $# -ge 3 ] || fail "usage: $0 run FOLDER PORT [SETTING=VALUE]..."
folder="$2" port="$3"
shift 3

# Debian keeps the programs of each version in a folder that is not on the path.
bin="$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)"
[ -n "$bin" ] || bin="$(dirname "$(command -v initdb)")" || fail "initdb is missing; run: make setup"

mkdir -p "$folder"
as=()
if [ "$(id -u)" -eq 0 ]; then
    user=postgres
    id "$user" >/dev/null 2>&1 || user=nobody
    chown "$user" "$folder"
    as=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups)
fi
cd "$folder"
if [ ! -f "$folder/data/PG_VERSION" ]; then
    "${as[@]}" "$bin/initdb" --pgdata="$folder/data" --username=postgres --auth=trust \
        --encoding=UTF8 --locale=C --no-sync >"$folder.initdb.log" 2>&1 ||
        fail "initdb failed: $(tail -n 3 "$folder.initdb.log")"
    rm -f "$folder.initdb.log"
fi
settings=()
for setting in listen_addresses=127.0.0.1 "port=$port" unix_socket_directories= fsync=off "$@"; do
    settings+=(-c "$setting")
done
"${as[@]}" "$bin/postgres" -D "$folder/data" "${settings[@]}" </dev/null &
server=$!
# Immediate: what is in the folder is thrown away, or recovered by the next start.
trap 'kill -QUIT "$server" 2>/dev/null; wait "$server" 2>/dev/null' EXIT
cat >/dev/null
