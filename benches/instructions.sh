#!/usr/bin/env bash
# How many instructions coop's hot paths take in user space, counted by callgrind: no clock, no cache, no other process has a say.
#
#   benches/instructions.sh            fails when a path takes over 5 % more than benches/instructions.txt says
#   benches/instructions.sh --bless    writes down what they take now
#   benches/instructions.sh --canary   counts one path only, and 6 % more than it takes: must fail
#
# A path is coop's side of a row. It is run N and 2 N times, and the difference is what N take: starting and ending cancel out.
# Needs valgrind, whose processor has no io_uring: the paths that wait for the kernel are those of the epoll driver. The build is that
# of `cargo bench`, for any x86_64, and glibc is kept from choosing its memcpy by what the processor can do. What another rustc
# makes of the same source may differ; then bless.
set -euo pipefail
cd "$(dirname "$0")/.."

limit=5
iterations=10000
stored=benches/instructions.txt
paths="yield-2 spawn-join hand-over channel-1 channel-128 select-ready select-pending timeout unix-ping-pong"

more=1
if [ "${1:-}" = --canary ]; then paths=yield-2 more=1.06; fi

command -v valgrind >/dev/null || { echo "valgrind is not in PATH" >&2; exit 1; }
# What others add would be counted.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
program=$(cargo bench -p benches --bench compare --no-run --message-format=json |
    grep -o '"executable":"[^"]*"' | tail -n 1 | cut -d'"' -f4)
export COOP_DRIVER=epoll RUST_BACKTRACE=0
export GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-ERMS,-FSRM

# count PATH N: all instructions of a run
count() {
    local log
    log=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" --iterate "$1" "$2" 2>&1) || {
        echo "$log" >&2
        return 1
    }
    sed -n 's/.*Collected : //p' <<<"$log"
}

counted=$(mktemp)
trap 'rm -f "$counted"' EXIT
for path in $paths; do
    once=$(count "$path" $iterations) twice=$(count "$path" $((2 * iterations)))
    awk -v path="$path" -v once="$once" -v twice="$twice" -v n=$iterations -v more=$more \
        'BEGIN { printf "%-16s %8.1f\n", path, (twice - once) / n * more }' >>"$counted"
done

if [ "${1:-}" = --bless ]; then
    {
        echo "# Instructions in user space for one iteration of coop's side of a row. Written by benches/instructions.sh --bless."
        echo "# $(rustc --version | cut -d' ' -f1,2), $(valgrind --version), epoll driver"
        cat "$counted"
    } >"$stored"
    cat "$stored"
    exit
fi

awk -v limit=$limit '
    /^#/ { next }
    FNR == NR { before[$1] = $2; next }
    {
        if (!($1 in before)) { printf "%-16s %8.1f  is not in the file\n", $1, $2; failed++; next }
        change = ($2 / before[$1] - 1) * 100
        verdict = "ok"
        if (change > limit) { verdict = "GROWN"; failed++ } else passed++
        if (change < -limit) verdict = "ok; bless, so that it stays so"
        printf "%-16s %8.1f  %+6.1f %% of %.1f: %s\n", $1, $2, change, before[$1], verdict
    }
    END {
        printf "%d passed; %d failed\n", passed, failed
        if (failed) print "If that is worth it: benches/instructions.sh --bless, and say why in the commit."
        exit failed > 0
    }' "$stored" "$counted"
