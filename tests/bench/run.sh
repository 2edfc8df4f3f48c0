#!/bin/sh
# `make bench`: arklet's own table for each model named in MODELS, then the comparison with other engines in PEERS.
#
#   MODELS='a.gguf b.gguf' PEERS='llama.cpp=/path/bin ik_llama.cpp=/path/bin' THREADS=2 REPS=5 make bench
#
# Without MODELS it says what it needs and ends well; without PEERS, or without Python, only arklet is measured.
set -eu
HERE=$(dirname "$0")
ARKLET=${ARKLET:-./arklet}
THREADS=${THREADS:-$(getconf _NPROCESSORS_ONLN)}
REPS=${REPS:-5}

if [ -z "${MODELS:-}" ]; then
    echo "bench: name GGUF files in MODELS (tests/bench/make_models.py makes random ones of real shapes)"
    exit 0
fi
for model in $MODELS; do
    "$ARKLET" bench -m "$model" -p 512 -n 128 -b 1,8,32 -r "$REPS" -t "$THREADS"
done
if [ -z "${PEERS:-}" ] || ! command -v python3 >/dev/null; then
    echo "bench: no PEERS or no python3: no comparison"
    exit 0
fi
set --
for model in $MODELS; do set -- "$@" -m "$model"; done
for peer in $PEERS; do set -- "$@" --peer "$peer"; done
python3 "$HERE/compare.py" --arklet "$ARKLET" -t "$THREADS" -r "$REPS" "$@"
