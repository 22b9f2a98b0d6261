#!/usr/bin/env bash
# The chain for browsers: crates/wasm, compiled to WebAssembly. The server embeds what is built, and the page hides what
# needs it where it was not.
#
#   scripts/wasm.sh build  builds web/wasm/stages.wasm (default)
#   scripts/wasm.sh offer  builds it where that is possible, else says why it is not
#   scripts/wasm.sh setup  brings what building it needs: the target wasm32-unknown-unknown by rustup, or else Debian's own
#                          compiler with the sources of the standard library, in a folder of its own
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly TARGET=wasm32-unknown-unknown
readonly RUST_MINIMUM=1.90
# A folder of its own: installed, Debian's packages of the compiler would take the place of whatever rustc there is.
readonly DEBIAN=${XDG_DATA_HOME:-$HOME/.local/share}/foldback/rust-wasm

main() {
    local task=${1:-build}
    case $task in
        build) build || fail "$(missing)" ;;
        offer) build || say "$(missing)" "The page goes without hearing the chain before one joins." ;;
        setup) has_target || add_target || has_debian || install_debian || fail "$(missing)" ;;
        *) fail "unknown argument '$task': expected 'build' (default), 'offer' or 'setup'" ;;
    esac
}

# False where nothing is here to build it with.
build() {
    local options=() lib
    if ! has_target; then
        has_debian || return 1
        lib=$(echo "$DEBIAN"/usr/lib/*-linux-gnu)
        export RUSTC=$DEBIAN/usr/bin/rustc LD_LIBRARY_PATH=$lib RUSTC_BOOTSTRAP=1
        export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER
        CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$(debian_linker)
        options=(-Z "build-std=std,panic_abort")
    fi
    # A folder of its own: another compiler must not make the rest be built anew.
    cargo rustc --package foldback-wasm --profile wasm --locked --target "$TARGET" --target-dir target/wasm \
        --crate-type cdylib "${options[@]}" || exit
    # The same bytes keep their time, so that the server is not built anew for them.
    local built=target/wasm/$TARGET/wasm/foldback_wasm.wasm
    cmp --silent "$built" web/wasm/stages.wasm || cp "$built" web/wasm/stages.wasm || exit
}

has_target() {
    compgen -G "$(rustc --print target-libdir --target "$TARGET" 2>/dev/null)/libstd-*.rlib" >/dev/null
}

add_target() {
    command -v rustup >/dev/null && rustup target add "$TARGET" && has_target
}

has_debian() {
    [[ -x $DEBIAN/usr/bin/rustc && -d $DEBIAN/usr/lib/rustlib/src/rust/library ]] && debian_linker >/dev/null
}

debian_linker() {
    local linkers
    linkers=$(compgen -c wasm-ld- | sort -V | tail -n 1)
    [[ -n $linkers ]] && echo "$linkers"
}

install_debian() {
    local std llvm
    command -v apt-get >/dev/null || return
    as_root apt-get update -q || return
    at_least "$(candidate rustc-web)" "$RUST_MINIMUM" || return
    std=$(depends libstd-rust-web-dev libstd-rust-web-)
    llvm=$(depends "$std" libllvm)
    say "installing Debian's Rust compiler for WebAssembly into $DEBIAN"
    # These two stand beside others of their kind; the compiler itself is unpacked where nobody meets it.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$llvm" "lld-${llvm#libllvm}" ||
        return
    local folder
    folder=$(mktemp -d)
    # shellcheck disable=SC2064 # its value of now
    trap "rm -rf '$folder'" RETURN
    (cd "$folder" && apt-get download -q rustc-web "$std" libstd-rust-web-dev rust-web-src) || return
    rm -rf "$DEBIAN"
    mkdir -p "$DEBIAN"
    local package
    for package in "$folder"/*.deb; do
        case $package in
            # A tenth of the sources is the standard library's.
            */rust-web-src_*) dpkg-deb --fsys-tarfile "$package" | tar -x -C "$DEBIAN" --wildcards './usr/src/*/library' ;;
            *) dpkg-deb --extract "$package" "$DEBIAN" ;;
        esac || return
    done
    mkdir -p "$DEBIAN/usr/lib/rustlib/src/rust"
    ln -sfn "$(echo "$DEBIAN"/usr/src/*/library)" "$DEBIAN/usr/lib/rustlib/src/rust/library"
    has_debian
}

candidate() {
    apt-cache policy "$1" | sed -n 's/^  Candidate: \([0-9.]*\).*/\1/p'
}

# depends PACKAGE PREFIX: the first of its dependencies with that beginning.
depends() {
    apt-cache depends "$1" | sed -n "s/^  Depends: \($2[^ ]*\)$/\1/p" | head -n 1
}

as_root() {
    if [[ $(id -u) -eq 0 ]]; then "$@"; else sudo -n "$@"; fi
}

# at_least FOUND MINIMUM, as versions
at_least() {
    [[ -n $1 && $(printf '%s\n' "$2" "$1" | sort -V | head -n1) == "$2" ]]
}

missing() {
    echo "Rust cannot build for $TARGET here: run 'rustup target add $TARGET'."
}

say() {
    printf 'wasm: %s\n' "$@" >&2
}

fail() {
    say "$1"
    exit 1
}

main "$@"
