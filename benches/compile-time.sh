#!/usr/bin/env bash
# What the macros cost at compile time: a program of 200 `#[coop::task]` functions, each with a `coop::select!` of three
# arms, against the same program in `async fn`s with `tokio::select!`.
#
#   benches/compile-time.sh                 11 rounds, 200 tasks
#   benches/compile-time.sh ROUNDS TASKS
#   KEEP=DIRECTORY benches/compile-time.sh  leaves the two programs there, to be profiled
#
# Only the last crate is measured: everything it depends on is built before. The sides take turns within a round, so that
# what else the machine does falls on both. Times are processor time (user and system) of cargo and the compiler, which a
# busy machine does not stretch as it does the clock's; the last column has the clock's. Ends with 1 when a median is over
# the bar.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-11}
tasks=${2:-200}
bar=1.3
templates=$PWD/benches/compile-time

if [ -n "${KEEP:-}" ]; then
    mkdir -p "$KEEP"
    work=$(cd "$KEEP" && pwd)
else
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi

# program SIDE: a crate whose main.rs is the template's function, once for each task, and a main that spawns them all.
program() {
    local side=$1 name number
    mkdir -p "$work/$side/src"
    sed "s|@ROOT@|$PWD|" "$templates/$side.toml" >"$work/$side/Cargo.toml"
    {
        sed '/^\/\/ --- task/,$d' "$templates/$side.rs"
        for ((number = 0; number < tasks; number++)); do
            printf -v name '%03d' "$number"
            sed -e '1,/^\/\/ --- task/d' -e '/^\/\/ --- main/,$d' "$templates/$side.rs" |
                sed -e "s/NAME/task_$name/g" -e "s/NUMBER/$number/g"
        done
        sed -e '1,/^\/\/ --- main/d' "$templates/$side.rs" | while IFS= read -r line; do
            if [[ $line != *NAME* ]]; then
                echo "$line"
                continue
            fi
            for ((number = 0; number < tasks; number++)); do
                printf -v name '%03d' "$number"
                line_of=${line//NAME/task_$name}
                echo "${line_of//NUMBER/$number}"
            done
        done
    } >"$work/$side/src/main.rs"
}

program coop
program tokio
# The versions that the workspace is tested with.
cp Cargo.lock "$work/Cargo.lock"
printf '[workspace]\nresolver = "3"\nmembers = ["coop", "tokio"]\n' >"$work/Cargo.toml"

export CARGO_TARGET_DIR=$work/target CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
cd "$work"

# What one run takes: `CLOCK USER SYSTEM` in seconds.
measure() {
    local command=$1 side=$2
    touch "$side/src/main.rs"
    { TIMEFORMAT='%R %U %S'; time cargo "$command" --quiet --package "compile-time-$side" >"$work/log" 2>&1; } 2>&1 || {
        cat "$work/log" >&2
        return 1
    }
}

# The median of a column of numbers.
median() {
    sort -g | awk '{ all[NR] = $1 } END { print NR % 2 ? all[(NR + 1) / 2] : (all[NR / 2] + all[NR / 2 + 1]) / 2 }'
}

over=0
printf '%d tasks, each with a select of three arms; medians of %d rounds, seconds of processor time\n\n' "$tasks" "$rounds"
printf '| %-20s | %6s | %6s | %6s | %12s | %10s |\n' command coop tokio ratio "quartiles" "by clock"
echo "|----------------------|-------:|-------:|-------:|-------------:|-----------:|"
for command in check build; do
    measure "$command" coop >/dev/null
    measure "$command" tokio >/dev/null
    : >"$work/figures"
    for ((round = 0; round < rounds; round++)); do
        # Each side is first every other round.
        if ((round % 2)); then
            ours=$(measure "$command" coop)
            theirs=$(measure "$command" tokio)
        else
            theirs=$(measure "$command" tokio)
            ours=$(measure "$command" coop)
        fi
        echo "$ours $theirs" | awk '{ print $2 + $3, $5 + $6, ($2 + $3) / ($5 + $6), $1 / $4 }' >>"$work/figures"
    done
    ratio=$(awk '{ print $3 }' "$work/figures" | median)
    quartiles=$(awk '{ print $3 }' "$work/figures" | sort -g | awk '
        { all[NR] = $1 } END { printf "%.2f – %.2f", all[int((NR + 3) / 4)], all[int((3 * NR + 3) / 4)] }')
    printf '| cargo %-14s | %6.2f | %6.2f | %6.2f | %s | %10.2f |\n' "$command" \
        "$(awk '{ print $1 }' "$work/figures" | median)" "$(awk '{ print $2 }' "$work/figures" | median)" "$ratio" \
        "$quartiles" "$(awk '{ print $4 }' "$work/figures" | median)"
    if awk -v ratio="$ratio" -v bar="$bar" 'BEGIN { exit !(ratio > bar) }'; then over=1; fi
done
if ((over)); then
    printf '\nover the bar of %s\n' "$bar"
    exit 1
fi
