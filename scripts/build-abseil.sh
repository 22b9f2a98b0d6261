#!/usr/bin/env bash
# Builds the part of abseil that the WebRTC audio library uses into .deps/abseil, where
# .cargo/config.toml points pkg-config. Does nothing when it is there.
#
# webrtc-audio-processing-sys asks pkg-config for abseil >= 20240722, and else downloads it while it
# builds. Debian 12 and Ubuntu 24.04 have an older one, so the sources come from a package registry,
# pinned by checksum. Systems with a newer one get this too: what is tested is then the same
# everywhere, and it is linked statically, so the server needs no abseil where it runs.
#
#   scripts/build-abseil.sh [DIRECTORY]    (default .deps/abseil)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly VERSION=20250127
readonly PREFIX=${1:-.deps/abseil}
readonly MODULES=(absl_base absl_flags absl_strings absl_numeric absl_synchronization absl_bad_optional_access)
readonly SOURCES=(
    absl/base/internal/raw_logging.cc
    absl/base/internal/spinlock_wait.cc
    absl/base/internal/throw_delegate.cc
    absl/base/log_severity.cc
    absl/numeric/int128.cc
    absl/strings/ascii.cc
    absl/strings/charconv.cc
    absl/strings/escaping.cc
    absl/strings/internal/charconv_bigint.cc
    absl/strings/internal/charconv_parse.cc
    absl/strings/internal/escaping.cc
    absl/strings/internal/memutil.cc
    absl/strings/internal/ostringstream.cc
    absl/strings/internal/stringify_sink.cc
    absl/strings/internal/utf8.cc
    absl/strings/match.cc
    absl/strings/numbers.cc
    absl/strings/str_cat.cc
    absl/strings/str_replace.cc
    absl/strings/str_split.cc
    absl/strings/string_view.cc
    absl/strings/substitute.cc
)

main() {
    [[ ! -e $PREFIX/lib/libabsl_strings.a ]] || return 0
    echo "setup: building abseil $VERSION into $PREFIX"
    mkdir -p "$(dirname "$PREFIX")"
    # Beside its destination, so that the last step is one rename and a broken run leaves nothing there.
    work=$(mktemp -d "$(dirname "$PREFIX")/abseil-XXXXXX")
    trap 'rm -rf "$work"' EXIT

    fetch "$work"
    build "$work/source" "$work/prefix"
    mv -T "$work/prefix" "$PREFIX"
}

fetch() {
    python3 -m venv "$1/venv"
    "$1/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --no-binary grpcio \
        --require-hashes -r scripts/requirements-abseil.txt -d "$1"
    mkdir "$1/source"
    tar xz -C "$1/source" --strip-components=3 --wildcards -f "$1"/grpcio-*.tar.gz '*/third_party/abseil-cpp/absl'
}

build() {
    local source=$1 prefix=$2 module
    mkdir -p "$prefix/include" "$prefix/lib/pkgconfig"
    (cd "$source" && find absl \( -name '*.h' -o -name '*.inc' \) -print0 | tar c --null -T -) | tar x -C "$prefix/include"

    # shellcheck disable=SC2016
    printf '%s\n' "${SOURCES[@]}" | (
        cd "$source"
        xargs -P "$(nproc)" -I{} sh -c \
            'g++ -O2 -fPIC -std=c++17 -DNDEBUG -I. -c "$1" -o "$(echo "$1" | tr / _).o"' sh {}
    )
    ar rcs "$prefix/lib/libabsl_strings.a" "$source"/*.o

    # One library stands in for all the modules that are asked for.
    for module in "${MODULES[@]}"; do
        cat >"$prefix/lib/pkgconfig/$module.pc" <<EOF
prefix=\${pcfiledir}/../..
Name: $module
Description: The part of abseil that the WebRTC audio library uses
Version: $VERSION
Libs: -L\${prefix}/lib -labsl_strings
Cflags: -I\${prefix}/include
EOF
    done
}

main
