#!/usr/bin/env bash
# Runs the fuzz targets, one after the other; installs cargo-fuzz first if it is missing.
#
#   scripts/fuzz.sh                    all targets
#   scripts/fuzz.sh receiver session   these targets
#
# FUZZ_SECONDS says how long each runs (default 600).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly CARGO_FUZZ_VERSION=0.13.1
readonly SECONDS_EACH=${FUZZ_SECONDS:-600}

main() {
    local known target
    mapfile -t known < <(sed -n 's/^name = "\(.*\)"$/\1/p' fuzz/Cargo.toml | tail -n +2)
    for target in "$@"; do
        [[ " ${known[*]} " == *" $target "* ]] || fail "no fuzz target '$target': there are ${known[*]}"
    done
    [[ $SECONDS_EACH =~ ^[1-9][0-9]*$ ]] || fail "FUZZ_SECONDS is '$SECONDS_EACH': expected a number above 0"
    install_cargo_fuzz
    for target in "${@:-${known[@]}}"; do
        fuzz "$target"
    done
}

fuzz() {
    local corpora=(fuzz/corpus/"$1")
    mkdir -p "${corpora[@]}"
    [[ ! -d fuzz/seeds/$1 ]] || corpora+=(fuzz/seeds/"$1")
    # A target that does not build has found nothing.
    cargo fuzz build --sanitizer none "$1"
    echo "fuzz: $1 for $SECONDS_EACH s"
    # Sanitizers need a nightly compiler, and our code has nothing unsafe for them to watch.
    cargo fuzz run --sanitizer none "$1" "${corpora[@]}" -- \
        -max_total_time="$SECONDS_EACH" -max_len=4096 -len_control=0 -timeout=30 -print_final_stats=1 ||
        fail "$1 found something: its input is named above, fuzz/README.md says what to do with it"
}

install_cargo_fuzz() {
    cargo fuzz --version >/dev/null 2>&1 ||
        cargo install --locked cargo-fuzz --version "$CARGO_FUZZ_VERSION"
}

fail() {
    echo "fuzz: $*" >&2
    exit 1
}

main "$@"
