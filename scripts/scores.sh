#!/usr/bin/env bash
# Scores what chains make of the developers' audio set, beside what the bare libraries make of it.
#
#   scripts/scores.sh             all tables
#   scripts/scores.sh noise aec   these: noise, clean, aec, plc, switches
#
# The set is not part of the repository: it is looked for in the folder that FOLDBACK_SHARED names,
# else in `shared` beside the repository. Where it is not, there is nothing to do. The sounds and
# the tables are left in target/scores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly SET=${FOLDBACK_SHARED:-../shared}/audio
readonly OUT=target/scores
readonly PYTHON=$OUT/venv/bin/python

main() {
    if [[ ! -e $SET/score/score.py ]]; then
        echo "scores: skipped: no audio set in $SET (FOLDBACK_SHARED)"
        return
    fi
    local known=(noise clean aec plc switches) part
    for part in "$@"; do
        [[ " ${known[*]} " == *" $part "* ]] || fail "no table '$part': there are ${known[*]}"
    done
    scripts/setup.sh build
    install_score
    cargo build --release --locked -p foldback-server -p foldback-tests
    for part in "${@:-${known[@]}}"; do
        rm -rf "${OUT:?}/$part"
        mkdir -p "$OUT/$part"
        "$part" | tee "$OUT/$part.txt"
    done
}

noise() {
    bare noise
    local key
    for key in $(keys noisy); do
        process noise/denoise tests/chains/denoise.toml "$key" "noisy/$key.flac"
        process noise/noise-suppress tests/chains/noise-suppress.toml "$key" "noisy/$key.flac"
        process noise/conference config/conference.toml "$key" "noisy/$key.flac"
    done
    score ns "$SET" @noisy "$OUT"/noise/{bare-nnnoiseless,denoise,bare-webrtc-ns,noise-suppress,conference}
}

# The scripts know noisy files only: a set of clean ones without a noise is made for them.
clean() {
    "$PYTHON" - "$SET" "$OUT/clean/set" <<'END'
import json, os, sys
shared, out = os.path.abspath(sys.argv[1]), sys.argv[2]
clean = json.load(open(f'{shared}/manifest.json'))['clean']
clean = {key: dict(clip, file=os.path.join(shared, clip['file'])) for key, clip in clean.items()}
noisy = {key: dict(file=clip['file'], clean=key, lead_s=0, gain=1, noise='none', snr_db=99)
         for key, clip in clean.items()}
os.makedirs(out)
json.dump(dict(clean=clean, noisy=noisy, noise={'none': {}}), open(f'{out}/manifest.json', 'w'))
END
    local key chain systems=()
    for chain in tests/chains/{denoise,noise-suppress,echo-cancel}.toml config/conference.toml; do
        for key in $(keys clean); do
            process "clean/$(basename "$chain" .toml)" "$chain" "$key" "clean/$key.flac"
        done
        systems+=("$OUT/clean/$(basename "$chain" .toml)")
    done
    score ns "$OUT/clean/set" @clean "${systems[@]}"
}

aec() {
    bare aec
    local key delay_ms
    while read -r key delay_ms; do
        process aec/echo-cancel tests/chains/echo-cancel.toml "$key" "echo/${key}_mic.flac" \
            --far-end "$SET/echo/a_far.flac"
        process aec/echo-cancel-aligned tests/chains/echo-cancel.toml "$key" "echo/${key}_mic.flac" \
            --far-end "$SET/echo/a_far.flac" --delay-ms "$((delay_ms - 20))"
    done < <("$PYTHON" -c 'import json, sys
for key, echo in json.load(open(sys.argv[1]))["echo"].items(): print(key, echo["delay_ms"])' "$SET/manifest.json")
    score aec "$SET" @mic "$OUT"/aec/{bare-aec3,echo-cancel,bare-aec3-aligned,echo-cancel-aligned}
}

plc() {
    target/release/playout-score "$SET" "$OUT/plc" >"$OUT/plc/delays.txt"
    score plc "$SET" "$OUT"/plc/{bare,foldback}-{conceal,fec,red1}
}

# What a listener hears who talks now and then, against one who never does: `score.py` has no such table.
switches() {
    target/release/switch-score "$SET" "$OUT/switches"
    "$PYTHON" - "$SET/clean" "$OUT"/switches/*/ <<'END'
import os, sys
import numpy, pesq, scipy.signal, soundfile
clean, systems = sys.argv[1], [os.path.normpath(folder) for folder in sys.argv[2:]]
def at_16_khz(file):
    return scipy.signal.resample_poly(soundfile.read(file)[0], 1, 3)
def aligned(reference, sound):
    lags = scipy.signal.correlation_lags(len(sound), len(reference))
    lag = lags[numpy.argmax(scipy.signal.correlate(sound, reference))]
    sound = sound[max(lag, 0):]
    return reference[:len(sound)], sound[:len(reference)]
print('| system | PESQ, mean | least |\n| --- | --- | --- |')
for folder in systems:
    scores = [pesq.pesq(16000, *aligned(at_16_khz(f'{clean}/{key[:-4]}.flac'), at_16_khz(f'{folder}/{key}')), 'wb')
              for key in sorted(os.listdir(folder))]
    print(f'| {os.path.basename(folder)} | {numpy.mean(scores):.3f} | {min(scores):.3f} |')
END
}

# bare KIND: what the libraries make of the noise or of the echo
bare() {
    target/release/bare-score "$1" "$SET" "$OUT/$1"
}

# process SYSTEM CONFIG KEY FILE [OPTION...]
process() {
    mkdir -p "$OUT/$1"
    target/release/foldback process --config "$2" "$SET/$4" "$OUT/$1/$3.wav" "${@:5}" >/dev/null
}

# score KIND SET FOLDER...
score() {
    "$PYTHON" "$SET/score/score.py" "$1" --set "$2" "${@:3}"
}

# keys SECTION: of the set's manifest
keys() {
    "$PYTHON" -c 'import json, sys; print(*json.load(open(sys.argv[1]))[sys.argv[2]])' "$SET/manifest.json" "$1"
}

# The models are in the Python packages; they are installed again when the list of them changes.
install_score() {
    local list=$SET/score/requirements.txt
    if ! cmp -s "$list" "$OUT/venv/installed.txt"; then
        echo "scores: installing the models into $OUT/venv"
        python3 -m venv --clear "$OUT/venv"
        "$PYTHON" -m pip install --quiet --disable-pip-version-check -r "$list"
        cp "$list" "$OUT/venv/installed.txt"
    fi
}

fail() {
    echo "scores: $*" >&2
    exit 1
}

main "$@"
