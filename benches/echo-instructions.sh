#!/usr/bin/env bash
# How many instructions a server takes in user space for one message of the echo rows, coop's beside its peers', counted by callgrind:
# what the runtimes themselves cost, without the kernel, caches and clocks.
#
#   benches/echo-instructions.sh                      the cells of 64 bytes, all servers, as a Markdown table
#   benches/echo-instructions.sh 64:1000:16 …         other cells: bytes, connections, messages sent at once on each
#   SERVERS="coop tokio" benches/echo-instructions.sh
#
# The server runs in valgrind, in a process of its own; the client as it is, but with pauses in which the server does all it can: so
# every receive has to wait, and what comes together is the same for all. A server echoes N and 2 N messages, and the difference is
# what N take: starting and ending cancel out. Ends with 1 when coop takes more than half of what the best runtime does.
set -euo pipefail
cd "$(dirname "$0")/.."

bar=0.5
cells=("$@")
[ ${#cells[@]} -gt 0 ] || cells=(64:1:1 64:64:1 64:1000:1 64:1:16 64:64:16 64:1000:16)
read -ra servers <<<"${SERVERS:-coop tokio monoio compio glommio smol}"

command -v valgrind >/dev/null || { echo "valgrind is not in PATH" >&2; exit 1; }
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
program=${PROGRAM:-$(cargo bench -p benches --bench compare --no-run --message-format=json |
    grep -o '"executable":"[^"]*"' | tail -n 1 | cut -d'"' -f4)}
export RUST_BACKTRACE=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# count SERVER CELL N: instructions, and messages
count() {
    local address= asked server
    IFS=: read -ra cell <<<"$2"
    : >"$scratch/address"
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" --serve "$1" "${cell[@]}" \
        >"$scratch/address" 2>"$scratch/log" &
    server=$!
    for _ in $(seq 600); do
        read -r address <"$scratch/address" && break
        kill -0 $server 2>/dev/null || break
        sleep 0.1
    done
    # Microseconds, for what is slowed down fiftyfold.
    asked=$(timeout 120 "$program" --ask "${address:-127.0.0.1:1}" "${cell[@]}" "$3" $((1000 + 20 * cell[1]))) || {
        kill $server 2>/dev/null || true
        wait $server || true
        return 1
    }
    # What ends with a connection that its client has reset has done its work all the same.
    wait $server || true
    echo "$(sed -n 's/.*Collected : //p' "$scratch/log") $asked"
}

# each SERVER CELL: instructions a message
each() {
    IFS=: read -ra cell <<<"$2"
    local n=$((20 * cell[1] * cell[2])) once twice
    [ $n -ge 1000 ] || n=1000
    once=$(count "$1" "$2" $n) && twice=$(count "$1" "$2" $((2 * n))) || { echo failed; return; }
    awk -v once="$once" -v twice="$twice" \
        'BEGIN { split(once, a); split(twice, b); printf "%.0f\n", (b[1] - a[1]) / (b[2] - a[2]) }'
}

{
    printf '| bytes × connections × at once |'
    printf ' %s |' "${servers[@]}" "coop / best"
    printf '\n| --- |'
    printf ' ---: |%.0s' "${servers[@]}" ratio
    printf '\n'
}
failed=0
for cell in "${cells[@]}"; do
    counts=()
    for server in "${servers[@]}"; do counts+=("$(each "$server" "$cell")"); done
    row=$(awk -v bar=$bar -v cell="${cell//:/ × }" -v servers="${servers[*]}" -v counts="${counts[*]}" 'BEGIN {
        n = split(servers, name); split(counts, count)
        printf "| %s |", cell
        for (i = 1; i <= n; i++) {
            printf " %s |", count[i]
            if (name[i] == "coop") own = count[i]
            else if (count[i] != "failed" && (!best || count[i] < best)) best = count[i]
        }
        ratio = best && own != "failed" ? own / best : 0
        is_met = ratio && ratio <= bar
        printf " %s%s |", (ratio ? sprintf("%.2f", ratio) : "?"), (is_met ? "" : ": **NOT met**")
    }')
    echo "$row"
    case $row in *NOT*) failed=1 ;; esac
done
echo
echo "Bar: at most $bar × the best runtime's, in every cell: $([ $failed = 0 ] && echo met || echo '**NOT met**')."
exit $failed
