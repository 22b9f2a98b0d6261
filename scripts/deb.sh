#!/usr/bin/env bash
# Builds target/debian/foldback_VERSION_ARCH.deb: docs/packages.md says what is in it.
#
# What is built for a release of Debian or Ubuntu installs there and on later ones. DEBFULLNAME and DEBEMAIL say who maintains
# the package.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly PARTS=target/release/package

main() {
    scripts/setup.sh deb
    scripts/wasm.sh offer
    cargo build --release --locked -p foldback-server
    make_parts
    local maintainer=()
    [[ -z ${DEBEMAIL:-} ]] || maintainer=(--maintainer "${DEBFULLNAME:-The foldback authors} <$DEBEMAIL>")
    rm -f target/debian/foldback_*.deb
    .deps/tools/bin/cargo-deb deb --locked --no-build --no-dbgsym --strip --compress-system -p foldback-server "${maintainer[@]}"
}

# What crates/server/Cargo.toml takes from there.
make_parts() {
    rm -rf "$PARTS"
    target/release/foldback manual "$PARTS"
    cargo run --release --locked --quiet -p foldback-licences -- "$PARTS/licences-of-others.txt"
    cp CHANGELOG.md "$PARTS/changelog"
    gzip -9n "$PARTS/changelog" "$PARTS"/*.1 "$PARTS/licences-of-others.txt"
    # The schema is no configuration, so it is elsewhere.
    sed '1s|\./foldback|/usr/share/foldback/foldback|' config/conference.toml >"$PARTS/foldback.toml"
    target/release/foldback check "$PARTS/foldback.toml" >/dev/null
    local version date
    version=$(target/release/foldback --version | cut -d' ' -f2)
    date=$(git log -1 --format=%cD 2>/dev/null || date -R)
    cat >"$PARTS/changelog.Debian" <<END
foldback ($version-1) unstable; urgency=medium

  * What is new is in changelog.gz.

 -- ${DEBFULLNAME:-The foldback authors} <${DEBEMAIL:-foldback@localhost}>  $date
END
}

main "$@"
