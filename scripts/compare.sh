#!/usr/bin/env bash
# Loads Debian's Janus AudioBridge and foldback alike, one after the other, and prints both side by
# side. docs/load.md says what is alike.
#
#   scripts/compare.sh              a room of 40 with 3 talking, and one of 12 who all talk
#   scripts/compare.sh 20/1 8/8     these rooms: PARTICIPANTS/TALKERS
#
# COMPARE_SECONDS says how long each is measured (default 20). FOLDBACK_BINARY names another binary
# than the release build. Both servers have ports of their own; nothing is left of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly SECONDS_EACH=${COMPARE_SECONDS:-20}
readonly FOLDBACK=${FOLDBACK_BINARY:-target/release/foldback}
FOLDER=$(mktemp -d)
readonly FOLDER
# Where both servers are reached: Janus takes no loopback address for media.
ADDRESS=$(hostname -I | tr ' ' '\n' | grep -m 1 -F .) || ADDRESS=''
readonly ADDRESS
# Of the server that runs: its process and its port for HTTP.
SERVER='' PORT=''

main() {
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    [[ $# -gt 0 ]] || set -- 40/3 12/12
    local room
    for room in "$@"; do
        [[ $room =~ ^[1-9][0-9]*/[0-9]+$ ]] || fail "'$room' is no room: expected PARTICIPANTS/TALKERS"
    done
    [[ $SECONDS_EACH =~ ^[1-9][0-9]*$ ]] || fail "COMPARE_SECONDS is '$SECONDS_EACH': expected a number above 0"
    [[ -n $ADDRESS ]] || fail "this machine has no IPv4 address but loopback, which Janus takes none of for media"
    command -v janus >/dev/null || fail "Janus is not installed: scripts/setup.sh compare"
    [[ -n ${FOLDBACK_BINARY:-} ]] || cargo build --release --locked -p foldback-server

    configure_janus
    for room in "$@"; do
        start_janus
        load "$room" janus --url "http://$ADDRESS:$PORT/janus" --signalling janus
        start_foldback
        load "$room" foldback --url "http://$ADDRESS:$PORT"
        table "$room"
    done
}

# Of all that the package can do, the AudioBridge and HTTP: the rest is not even loaded.
configure_janus() {
    local plugin
    plugin=$(dpkg -L janus | grep '/libjanus_audiobridge\.so$')
    mkdir "$FOLDER"/{plugins,transports,none}
    ln -s "$plugin" "$FOLDER/plugins/"
    ln -s "${plugin%/plugins/*}/transports/libjanus_http.so" "$FOLDER/transports/"
    cat >"$FOLDER/janus.jcfg" <<END
general: {
    plugins_folder = "$FOLDER/plugins"
    transports_folder = "$FOLDER/transports"
    loggers_folder = "$FOLDER/none"
    events_folder = "$FOLDER/none"
    debug_level = 3
}
media: { rtp_port_range = "20000-29999" }
END
    : >"$FOLDER/janus.plugin.audiobridge.jcfg"
}

start_janus() {
    PORT=$(free_ports tcp 1)
    cat >"$FOLDER/janus.transport.http.jcfg" <<END
general: { http = true, https = false, ip = "$ADDRESS", port = $PORT, json = "compact" }
END
    janus --configs-folder="$FOLDER" --interface="$ADDRESS" --disable-colors >"$FOLDER/log" 2>&1 &
    SERVER=$!
    wait_for "http://$ADDRESS:$PORT/janus/info"
}

# With what the AudioBridge does when it is told nothing: complexity 4, no FEC, and the bitrate that
# libopus takes by itself for 20 ms of mono.
start_foldback() {
    PORT=$(free_ports tcp 1)
    FOLDBACK_OPUS_COMPLEXITY=4 FOLDBACK_OPUS_EXPECTED_LOSS_PERCENT=0 FOLDBACK_OPUS_BITRATE_BPS=51000 RUST_LOG=warn \
        "$FOLDBACK" serve --open --config config/clean.toml --public-address "$ADDRESS" --listen "$ADDRESS:$PORT" \
        --media-port "$(free_ports udp "$(nproc)")" >"$FOLDER/log" 2>&1 &
    SERVER=$!
    wait_for "http://$ADDRESS:$PORT/readyz"
}

# load ROOM SYSTEM OPTION...: the server that runs, which is stopped then
load() {
    echo "compare: $2, ${1%/*} in a room, ${1#*/} of them talking" >&2
    # In the background, so that an interrupt is not waited with.
    "$FOLDBACK" load --participants "${1%/*}" --talkers "${1#*/}" --seconds "$SECONDS_EACH" \
        --server-pid "$SERVER" --decode-percent 10 --json "${@:3}" >"$FOLDER/$2.json" &
    wait $! || fail "$2 could not be loaded; its last words:" "$(tail -n 5 "$FOLDER/log")"
    stop "$SERVER"
}

# table ROOM: of the two reports
table() {
    python3 - "${1%/*}" "${1#*/}" "$FOLDER"/{janus,foldback}.json <<'END'
import functools, json, sys

participants, talkers, *files = sys.argv[1:]
janus, foldback = (json.load(open(file)) for file in files)
ROWS = [
    ('joined', 'joining.joined'),
    ('CPU, ms per participant and second', 'server.cpu_ms_per_participant'),
    ('memory, MiB', 'server.memory_mib'),
    ('connected after, median, ms', 'joining.connected.median_ms'),
    ('connected after, 95 %, ms', 'joining.connected.p95_ms'),
    ('sound after, median, ms', 'joining.first_media.median_ms'),
    ('packets to clients', 'packets.received'),
    ('lost packets', 'packets.lost'),
    ('gaps above 60 ms', 'packets.gaps'),
    ('mouth to ear, median, ms', 'mouth_to_ear.delay.median_ms'),
    ('mouth to ear, 95 %, ms', 'mouth_to_ear.delay.p95_ms'),
    ('markers expected', 'mouth_to_ear.markers_expected'),
    ('markers found', 'mouth_to_ear.markers_found'),
]

def figure(report, path):
    return functools.reduce(lambda part, key: part and part[key], path.split('.'), report)

def text(value):
    return '-' if value is None else f'{value:g}' if value < 1e5 else f'{value:.0f}'

print(f'\n| {participants} in a room, {talkers} talking | Janus AudioBridge | foldback | ratio |\n|---|---|---|---|')
for name, path in ROWS:
    theirs, ours = figure(janus, path), figure(foldback, path)
    ratio = f'{ours / theirs:.2f}' if theirs and ours is not None else '-'
    print(f'| {name} | {text(theirs)} | {text(ours)} | {ratio} |')
for name, report in ('Janus AudioBridge', janus), ('foldback', foldback):
    if bottlenecks := report['client']['bottlenecks']:
        print(f'\nWith {name} the clients did not keep up: {", ".join(bottlenecks)}.')
END
}

# free_ports tcp|udp COUNT: the first of so many free neighbours
free_ports() {
    python3 - "$@" <<'END'
import socket, sys

kind = {'tcp': socket.SOCK_STREAM, 'udp': socket.SOCK_DGRAM}[sys.argv[1]]
while True:
    sockets = []
    try:
        for offset in range(int(sys.argv[2])):
            sockets.append(socket.socket(type=kind))
            sockets[-1].bind(('', sockets[0].getsockname()[1] + offset if offset else 0))
        break
    except (OSError, OverflowError):
        continue
print(sockets[0].getsockname()[1])
END
}

# wait_for URL: until the server answers there
wait_for() {
    local _
    for _ in {1..100}; do
        kill -0 "$SERVER" 2>/dev/null || break
        ! python3 -c 'import sys, urllib.request as http; http.urlopen(sys.argv[1], timeout=1)' "$1" 2>/dev/null ||
            return 0
        sleep 0.1
    done
    fail "no server answers at $1; its last words:" "$(tail -n 5 "$FOLDER/log")"
}

# stop PROCESS...: those that still run. They have nothing to save.
stop() {
    { kill -KILL "$@" && wait "$@"; } 2>/dev/null || true
}

clean_up() {
    local running
    mapfile -t running < <(jobs -p)
    stop "${running[@]}"
    rm -rf "$FOLDER"
}

fail() {
    printf 'compare: %s\n' "$1" >&2
    shift
    [[ $# -eq 0 ]] || printf '%s\n' "$@" >&2
    exit 1
}

main "$@"
