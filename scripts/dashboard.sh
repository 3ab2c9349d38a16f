#!/usr/bin/env bash
# Builds the dashboard and the portal into dashboard/dist, from where `cargo build` embeds them. When
# nothing has changed it only looks. Messages go to standard error.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
exec >&2

have npm || fail "npm is missing; run make setup"
cd dashboard
install_packages . "the dashboard's packages"

# Everything that the bundle is made from; its hash is kept beside the result.
sources() {
    find src portal public ./*.json ./*.ts ./*.mjs index.html ../openapi.json ../scripts/compress.mjs \
        -type f -not -path 'src/api/generated/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
}
wanted="$(sources | sha256sum)"
if [ -f dist/.built ] && [ "$(cat dist/.built)" = "$wanted" ]; then
    say "dashboard/dist is up to date"
    exit
fi
say "building dashboard/dist"
rm -f dist/.built
npm run build --silent
node ../scripts/compress.mjs dist
printf '%s\n' "$wanted" >dist/.built
