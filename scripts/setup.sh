#!/usr/bin/env bash
# Installs what foldback needs on Debian 12 and 13 and Ubuntu 24.04, from a machine with Rust and git.
#
#   scripts/setup.sh build    what `cargo build` needs, and, where that can be had, what building the chain for browsers does
#   scripts/setup.sh test     all of that, and what the tests need: Chromium, Firefox ESR with geckodriver and PulseAudio
#                             (not on Ubuntu, which has no Firefox ESR), coturn, pebble, espeak-ng, Prometheus, valgrind, cargo-nextest, cargo-deny,
#                             Node with the packages of web/ and tests/clients/, GStreamer, aiortc and PyAV (default)
#   scripts/setup.sh web      what building the page needs: Node
#   scripts/setup.sh compare  what the build needs, and Janus to compare with
#   scripts/setup.sh deb      what the build needs, and cargo-deb to make the package with, in .deps/tools
#   scripts/setup.sh try-deb  what trying the package needs: debootstrap, systemd-nspawn and lintian
#   scripts/setup.sh deny     cargo-deny, in .deps/tools
#
# Idempotent, and quick when nothing is missing. Without the right to install system packages it
# prints the commands for somebody who has it, and exits with 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly RUST_MINIMUM=1.90
# `meson setup --reconfigure` of a directory that is not there yet, which the build of
# webrtc-audio-processing-sys calls, is an error before this one.
readonly MESON_MINIMUM=1.1
# The newest one that still builds with RUST_MINIMUM.
readonly NEXTEST_VERSION=0.9.125
readonly GECKODRIVER_VERSION=0.37.1
readonly CARGO_DEB_VERSION=3.8.0
readonly CARGO_DENY_VERSION=0.20.2

main() {
    local scope=${1:-test} packages
    case $scope in
        build | test | compare | deb) ;;
        try-deb)
            install_packages debootstrap lintian systemd-container
            return
            ;;
        deny)
            install_own_tool cargo-deny "$CARGO_DENY_VERSION"
            return
            ;;
        web)
            mapfile -t packages < <(node_packages)
            install_packages "${packages[@]}"
            return
            ;;
        *) fail "unknown argument '$scope': expected 'build', 'test' (default), 'web', 'compare', 'deb', 'try-deb' or 'deny'" ;;
    esac

    require_rust
    mapfile -t packages < <(build_packages)
    case $scope in
        test) mapfile -t -O "${#packages[@]}" packages < <(browser_packages; node_packages; gstreamer_packages; printf "%s\n" coturn espeak-ng prometheus valgrind) ;;
        compare) packages+=(janus) ;;
        deb) packages+=(dpkg-dev xz-utils) ;;
    esac
    if [[ $scope == test ]]; then
        keep_from_starting coturn
        keep_from_starting prometheus
    fi
    install_packages "${packages[@]}"
    install_meson
    scripts/build-abseil.sh
    # Without it all is built but what runs in browsers.
    [[ $scope != build && $scope != deb ]] || scripts/wasm.sh setup || true
    [[ $scope != deb ]] || install_own_tool cargo-deb "$CARGO_DEB_VERSION" --no-default-features
    if [[ $scope == test ]]; then
        scripts/wasm.sh setup
        require_rust_component fmt rustfmt
        require_rust_component clippy clippy
        install_pebble
        install_nextest
        install_own_tool cargo-deny "$CARGO_DENY_VERSION"
        install_geckodriver
        scripts/web.sh install
        install_clients
    fi
}

require_rust() {
    { command -v cargo && command -v rustc; } >/dev/null ||
        fail "Rust is missing (cargo and rustc $RUST_MINIMUM or newer): install it with rustup, then run this again"
    local found
    found=$(rustc --version | cut -d' ' -f2)
    at_least "$found" "$RUST_MINIMUM" ||
        fail "Rust $found is too old: $RUST_MINIMUM or newer is needed (rustup update stable)"
    local objcopy
    objcopy=("$(rustc --print sysroot)"/lib/rustlib/*/bin/rust-objcopy)
    [[ -x ${objcopy[0]} ]] || rustup component add llvm-tools ||
        fail "rust-objcopy is missing from the Rust toolchain: rustup component add llvm-tools"
}

require_rust_component() {
    cargo "$1" --version >/dev/null 2>&1 || rustup component add "$2" ||
        fail "cargo $1 is missing: rustup component add $2"
}

build_packages() {
    printf '%s\n' ca-certificates ccache g++ libopus-dev make ninja-build pkg-config python3-venv
    # bindgen needs libclang and the compiler's own headers; libclang-dev has both, and ten times more.
    case $(release) in
        debian-12) printf '%s\n' libclang1-14 libclang-common-14-dev ;;
        debian-13) printf '%s\n' libclang1-19 libclang-common-19-dev ;;
        ubuntu-24.04) printf '%s\n' libclang1-18 libclang-common-18-dev ;;
        *) echo libclang-dev ;;
    esac
}

browser_packages() {
    chromium_packages
    case $(release) in
        # There is none but the snap of another Firefox: the tests that need it say so.
        ubuntu-*) ;;
        *)
            command -v firefox-esr >/dev/null || echo firefox-esr
            # A sound card for it. Not beside PipeWire, whose place on a developer's desktop it would take.
            command -v pulseaudio >/dev/null || command -v pipewire-pulse >/dev/null || echo pulseaudio
            ;;
    esac
}

chromium_packages() {
    local browser
    for browser in chromium chromium-browser google-chrome; do
        if command -v "$browser" >/dev/null && command -v chromedriver >/dev/null; then
            return
        fi
    done
    case $(release) in
        # There these two install the snap.
        ubuntu-*) printf '%s\n' chromium-browser chromium-chromedriver ;;
        *) printf '%s\n' chromium chromium-driver ;;
    esac
}

node_packages() {
    # Another Node than the system's is the developer's own.
    { command -v node && command -v npm; } >/dev/null || printf '%s\n' nodejs npm
}

# What tests/clients/gstreamer_client.py is made of.
gstreamer_packages() {
    printf '%s\n' python3-gst-1.0 gir1.2-gst-plugins-bad-1.0 gstreamer1.0-nice gstreamer1.0-plugins-base \
        gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
}

release() {
    # shellcheck source=/dev/null
    (. /etc/os-release 2>/dev/null && echo "${ID:-unknown}-${VERSION_ID:-}") || echo unknown
}

install_packages() {
    local missing=() package
    for package in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    [[ ${#missing[@]} -gt 0 ]] || return 0

    local update=(apt-get update)
    local install=(apt-get install -y --no-install-recommends "${missing[@]}")
    if ! command -v apt-get >/dev/null; then
        fail "missing packages, by their Debian names: ${missing[*]}" \
            "This system has no apt-get: install what corresponds to them, then run this again."
    fi
    if ! may_be_root; then
        fail "missing system packages, and no right to install them (neither root nor sudo)." \
            "Have somebody with that right run this, then run this script again:" "" \
            "    ${update[*]} && ${install[*]}" ""
    fi
    say "installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive "${update[@]}" -q
    as_root env DEBIAN_FRONTEND=noninteractive "${install[@]}" -q
}

# A certificate authority for tests, which not every release has: the tests that need it say so.
install_pebble() {
    command -v pebble >/dev/null || ! apt-cache show pebble >/dev/null 2>&1 || install_packages pebble
}

# A service that a test's package would start, and leave running on its port, is masked before.
keep_from_starting() {
    local unit=/etc/systemd/system/$1.service
    if [[ ! -e $unit && -d ${unit%/*} ]] && may_be_root && ! dpkg-query -s "$1" >/dev/null 2>&1; then
        as_root ln -s /dev/null "$unit"
    fi
}

install_meson() {
    # An environment of its own, since Debian's Python is externally managed (PEP 668); outside of the
    # clone, since `meson` must go on working when the clone is moved.
    local venv=${XDG_DATA_HOME:-$HOME/.local/share}/foldback/meson found
    # Where it is ours, its slow start is spared.
    if [[ $(readlink -f "$(command -v meson)") == "$venv/bin/meson" ]] ||
        { found=$(meson --version 2>/dev/null) && at_least "$found" "$MESON_MINIMUM"; }; then
        return
    fi
    say "installing meson into $venv"
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r scripts/requirements-meson.txt
    link_into_path "$venv/bin/meson"
    hash -r
    at_least "$(meson --version)" "$MESON_MINIMUM" ||
        fail "another meson comes first on PATH, and is older than $MESON_MINIMUM: $(command -v meson)"
}

# cargo's own directory is certainly on PATH, and with rustup it belongs to the user.
link_into_path() {
    local directory
    for directory in "$(dirname "$(command -v cargo)")" /usr/local/bin; do
        if [[ -w $directory ]]; then
            ln -sf "$1" "$directory/"
            return
        fi
    done
    if may_be_root; then
        as_root ln -sf "$1" /usr/local/bin/
    else
        fail "meson is installed, but no directory on PATH can be written (neither root nor sudo)." \
            "Have somebody with that right run this, then run this script again:" "" \
            "    ln -sf $1 /usr/local/bin/" ""
    fi
}

# Another version of either is left alone: it is the developer's own.
install_nextest() {
    cargo nextest --version >/dev/null 2>&1 ||
        install_tool cargo-nextest "$NEXTEST_VERSION" --no-default-features --features default-no-update
}

# The WebRTC software of others that the tests of WHIP and WHEP run, by the exact versions of its lists.
install_clients() {
    local venv=.venv
    cd tests/clients
    # npm writes this one last, so it is as old as what is installed.
    if [[ ! node_modules/.package-lock.json -nt package-lock.json ]]; then
        npm ci --no-progress
        touch node_modules/.package-lock.json
    fi
    if [[ ! $venv/.installed -nt requirements.txt ]]; then
        say "installing aiortc and PyAV into tests/clients/$venv"
        python3 -m venv --clear "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.txt
        touch "$venv/.installed"
    fi
    cd ../..
}

# Debian has the browser, but not what drives it.
install_geckodriver() {
    ! command -v firefox-esr >/dev/null || command -v geckodriver >/dev/null ||
        install_tool geckodriver "$GECKODRIVER_VERSION"
}

# install_tool NAME VERSION [OPTION...], from crates.io
install_tool() {
    local name=$1 version=$2
    shift 2
    say "installing $name $version (some minutes)"
    # Release profiles optimise for a published binary; tools of tests need no such thing.
    CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_OPT_LEVEL=${OPT_LEVEL:-1} CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install --locked "$name" --version "$version" "$@"
}

# install_own_tool NAME VERSION [OPTION...], into .deps/tools: exactly this version, whatever the developer has.
install_own_tool() {
    [[ $(.deps/tools/bin/"$1" --version 2>/dev/null) == *"$2" ]] || OPT_LEVEL=0 install_tool "$@" --root .deps/tools
}

may_be_root() {
    [[ $(id -u) -eq 0 ]] || { command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 ]]; }; }
}

as_root() {
    if [[ $(id -u) -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

# at_least FOUND MINIMUM, as versions
at_least() {
    [[ $(printf '%s\n' "$2" "$1" | sort -V | head -n1) == "$2" ]]
}

say() {
    echo "setup: $*"
}

fail() {
    printf 'setup: %s\n' "$1" >&2
    shift
    [[ $# -eq 0 ]] || printf '%s\n' "$@" >&2
    exit 1
}

main "$@"
