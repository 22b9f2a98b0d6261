#!/usr/bin/env bash
# The page: web/src and web/index.html are its sources, web/dist is what the server embeds.
#
#   scripts/web.sh build    builds web/dist (default)
#   scripts/web.sh lint     types, lints and unit tests of the sources
#   scripts/web.sh verify   fails unless web/dist is what the sources give
#   scripts/web.sh install  only what each of them does first: the exact packages of web/package-lock.json, if they are
#                           not there yet
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../web"

main() {
    local task=${1:-build}
    case $task in
        build | lint | verify | install) ;;
        *) fail "unknown argument '$task': expected 'build' (default), 'lint', 'verify' or 'install'" ;;
    esac
    command -v npm >/dev/null || fail "npm is missing: make setup installs it"
    install_packages
    [[ $task == install ]] || "$task"
}

install_packages() {
    # npm writes this one last, so it is as old as what is installed.
    [[ ! node_modules/.package-lock.json -nt package-lock.json ]] || return 0
    npm ci --no-progress
    touch node_modules/.package-lock.json
}

build() {
    npm run --silent build -- --emptyOutDir
}

lint() {
    npm run --silent check
}

verify() {
    local fresh
    fresh=$(mktemp -d)
    # shellcheck disable=SC2064 # its value of now
    trap "rm -rf '$fresh'" EXIT
    npm run --silent build -- --outDir "$fresh" --emptyOutDir --logLevel warn
    diff --recursive --brief "$fresh" dist ||
        fail "web/dist is not what web/src gives: run 'make web' and commit web/dist with the sources"
}

fail() {
    printf 'web: %s\n' "$1" >&2
    exit 1
}

main "$@"
