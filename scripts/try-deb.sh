#!/usr/bin/env bash
# Installs the package into a fresh system that is booted, has two Chromiums talk through the service that is then there, and
# looks whether its removal leaves anything behind.
#
#   scripts/try-deb.sh [SUITE]    the release of Debian or Ubuntu, by default this machine's, from where apt has its packages
#
# Needs root, a package made by `make deb`, what `make try-deb` installs, and the ports 8080 and from 8000 on: the system is in a
# container (systemd-nspawn) that shares the network with this one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck source=/dev/null
SUITE=${1:-$(. /etc/os-release && echo "$VERSION_CODENAME")}
readonly SUITE
FOLDER=''
SYSTEM=''
# The process of the container, and the first one in it.
CONTAINER=''
INIT=''

main() {
    [[ $(id -u) -eq 0 ]] || fail "only root may install a system: sudo make try-deb"
    local package
    package=$(compgen -G "target/debian/foldback_*.deb") || fail "there is no package in target/debian: make deb"
    say "lintian"
    lintian --allow-root --fail-on error,warning "$package" || fail "lintian objects"

    FOLDER=$(mktemp -d)
    SYSTEM=$FOLDER/system
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    say "a fresh $SUITE"
    debootstrap --variant=minbase --include=systemd,systemd-sysv "$SUITE" "$SYSTEM" "$(mirror)" >"$FOLDER/log" ||
        fail_with_log "debootstrap failed"
    cp "$package" "$SYSTEM/root/foldback.deb"

    say "where no systemd runs"
    inside apt-get -q -y update
    inside apt-get -q -y install --no-install-recommends /root/foldback.deb
    check_files
    inside apt-get -q -y purge --autoremove foldback

    say "where it does"
    boot
    files >"$FOLDER/before"
    inside apt-get -q -y install --no-install-recommends /root/foldback.deb
    until_ready
    say "the service is $(property ActiveState), as user $(stat --format %u "/proc/$INIT/root/proc/$(property ExecMainPID)")"
    say "two Chromiums"
    cargo nextest run --workspace --locked --test packaging --run-ignored only --no-capture \
        -E 'test(two_browsers_talk_by_what_the_package_installed)'

    say "upgrade"
    echo "# changed here" >>"$SYSTEM/etc/foldback/foldback.toml"
    echo "FOLDBACK_LOG_LEVEL=debug" >"$SYSTEM/etc/foldback/environment"
    local before
    before=$(property ExecMainPID)
    inside apt-get -q -y install --reinstall /root/foldback.deb
    until_ready
    [[ $(property ExecMainPID) != "$before" ]] || fail "an upgrade goes on with the server of before"
    grep -q "changed here" "$SYSTEM/etc/foldback/foldback.toml" || fail "an upgrade takes a changed configuration away"
    say "end, removal, purge"
    inside systemctl stop foldback
    [[ $(property Result) == success && $(property ExecMainStatus) == 0 ]] || fail "it ends with $(property ExecMainStatus)"
    inside apt-get -q -y remove foldback
    [[ -e $SYSTEM/etc/foldback/foldback.toml && ! -e $SYSTEM/usr/bin/foldback ]] || fail "removal is no removal"
    inside apt-get -q -y purge --autoremove foldback
    files >"$FOLDER/after"
    diff "$FOLDER/before" "$FOLDER/after" || fail "a purge leaves the second of these behind, or takes the first away"
    say "good: installed, joined and purged on $SUITE"
}

boot() {
    systemd-nspawn --quiet --register=no --keep-unit --resolv-conf=off --timezone=off --link-journal=no \
        --directory="$SYSTEM" --boot </dev/null >"$FOLDER/boot" 2>&1 &
    CONTAINER=$!
    local _
    for _ in $(seq 300); do
        sleep 0.2
        kill -0 "$CONTAINER" 2>/dev/null || { tail "$FOLDER/boot" >&2; fail "the system does not boot"; }
        INIT=$(pgrep --parent "$CONTAINER" | head -n 1) || continue
        ! nsenter --target "$INIT" --all systemctl is-active --quiet multi-user.target 2>/dev/null || return 0
    done
    tail "$FOLDER/boot" >&2
    fail "the system does not get ready"
}

until_ready() {
    local _
    for _ in $(seq 100); do
        ! enter foldback health || return 0
        sleep 0.2
    done
    enter journalctl --no-pager --unit=foldback
    fail_with_log "the server does not get ready"
}

# property NAME, of the service
property() {
    nsenter --target "$INIT" --all systemctl show --property="$1" --value foldback
}

# Runs a command in the system, as it boots or without.
inside() {
    enter "$@" || fail_with_log "in the system: $*"
}

enter() {
    local way=(chroot "$SYSTEM")
    [[ -z $INIT ]] || way=(nsenter --target "$INIT" --all)
    "${way[@]}" env LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@" </dev/null >>"$FOLDER/log" 2>&1
}

# Where apt has this release from.
mirror() {
    local found
    # shellcheck disable=SC2016 # for apt
    found=$(apt-get indextargets --format '$(SITE)' "Created-By: Packages" "Component: main" | head -n 1)
    [[ -n $found ]] || fail "apt knows no packages: apt-get update"
    echo "$found"
}

check_files() {
    local file
    for file in usr/share/man/man1/foldback{,-serve,-token-create}.1.gz usr/share/bash-completion/completions/foldback \
        usr/share/zsh/vendor-completions/_foldback usr/share/fish/vendor_completions.d/foldback.fish \
        usr/share/doc/foldback/{copyright,licences-of-others.txt.gz} usr/share/foldback/foldback.schema.json; do
        [[ -s $SYSTEM/$file ]] || fail "/$file is not there"
    done
    [[ -L $SYSTEM/etc/systemd/system/multi-user.target.wants/foldback.service ]] || fail "the unit is not enabled"
}

# What there is but for what package managers keep for themselves.
files() {
    local path not=()
    for path in dev etc/ld.so.cache proc root run sys tmp var/cache var/lib/apt var/lib/dpkg var/lib/systemd var/log; do
        not+=(-path "./$path" -prune -o)
    done
    (cd "$SYSTEM" && find . "${not[@]}" -print | sort)
}

clean_up() {
    if [[ -n $CONTAINER ]]; then
        kill "$CONTAINER" 2>/dev/null || true
        wait "$CONTAINER" || true
    fi
    rm -rf --one-file-system "$FOLDER"
}

say() {
    echo "try-deb: $*"
}

fail() {
    echo "try-deb: $1" >&2
    exit 1
}

fail_with_log() {
    tail -n 40 "$FOLDER/log" >&2
    fail "$1"
}

main "$@"
