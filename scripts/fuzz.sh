#!/usr/bin/env bash
# Builds the libFuzzer targets in fuzz/ and runs each for a number of seconds.
#   scripts/fuzz.sh SECONDS     run each target; a crash leaves its input in fuzz/artifacts
# That they compile is a part of `make check`.
# The folder has cargo-fuzz's layout and works with it. The flags below are the ones cargo-fuzz
# passes for coverage; set here because they work on the stable toolchain, without installing it.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

targets=()
for file in fuzz/fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done

seconds="${1:-60}"
host="$(rustc -vV | sed -n 's/^host: //p')"
coverage=(-Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
    -Ccodegen-units=1 -Cdebuginfo=line-tables-only -Cdebug-assertions -Coverflow-checks --cfg fuzzing)
say "building ${targets[*]}"
# --target keeps these flags away from build scripts and procedural macros.
RUSTFLAGS="${coverage[*]}" CARGO_TARGET_DIR=fuzz/target \
    cargo build --quiet --release --package becket-fuzz --features targets --target "$host" --bins

for target in "${targets[@]}"; do
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
    seeds=()
    [ -d "fuzz/seeds/$target" ] && seeds=("fuzz/seeds/$target")
    say "$target: $seconds s"
    "fuzz/target/$host/release/$target" "fuzz/corpus/$target" "${seeds[@]}" \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="fuzz/artifacts/$target/" 2>&1 |
        grep -E '^(stat::number_of_executed_units|stat::peak_rss_mb|SUMMARY|==|.*panicked)|Test unit written' ||
        fail "$target found a failing input; see fuzz/artifacts/$target"
done
say "no failing input found"
