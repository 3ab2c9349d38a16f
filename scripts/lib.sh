# Sourced by the other scripts: messages, and the repository's root as the working folder.
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*"; }
fail() {
    say "$*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# A stamp with the lock file's hash tells whether what is installed is what the lock file says.
up_to_date() { [ -f "$2" ] && [ "$(cat "$2")" = "$(sha256sum <"$1")" ]; }

# install_packages FOLDER WHAT: the npm packages of a folder's lock file, if they are not there yet.
install_packages() {
    local lock="$1/package-lock.json" stamp="$1/node_modules/.installed"
    up_to_date "$lock" "$stamp" && return
    say "installing $2 (npm)"
    npm ci --prefix "$1" --ignore-scripts --no-audit --no-fund --loglevel=error
    sha256sum <"$lock" >"$stamp"
}
