#!/usr/bin/env bash
# The http example against hyper on tokio's current-thread runtime (benches/examples/hyper-tokio.rs), under wrk: one file of 1 KiB,
# from memory on both sides, with the same header fields, to 64 and to 1,000 connections that stay. Interleaved: coop, hyper, coop,
# hyper …; the server on one core, wrk on another.
#
#   benches/http-vs-hyper.sh [ROUNDS]        at least 5 unless QUICK=1, which only sees that everything runs
#
# Needs wrk in PATH; installs nothing. Both servers listen on 127.0.0.1 only, and are stopped at the end. COOP_PORT and HYPER_PORT
# say where, SERVER_CORE and CLIENT_CORE on which cores, SECONDS_EACH how long a run is.
set -euo pipefail
cd "$(dirname "$0")/.."

quick=${QUICK:-0}
rounds=${1:-9}
each=${SECONDS_EACH:-3}
if [ "$quick" = 1 ]; then rounds=1 each=1; elif [ "$rounds" -lt 5 ]; then rounds=5; fi
coop_port=${COOP_PORT:-17080} hyper_port=${HYPER_PORT:-17081}

for program in wrk taskset; do
    command -v "$program" >/dev/null || { echo "$program is not in PATH" >&2; exit 1; }
done
cargo build --quiet --release -p examples --bin http
cargo build --quiet --release -p benches --example hyper-tokio
built=${CARGO_TARGET_DIR:-target}/release
ulimit -n 4096

# The last two cores that this shell may use: what serves, and what asks.
mapfile -t cores < <(taskset -cp $$ | sed 's/.*: //' | tr , '\n' | while IFS=- read -r from to; do seq "$from" "${to:-$from}"; done)
server_core=${SERVER_CORE:-${cores[-1]}}
client_core=${CLIENT_CORE:-${cores[-2 + (${#cores[@]} == 1)]}}

directory=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$directory"
}
trap stop EXIT
mkdir "$directory/site"
head -c 768 /dev/urandom | base64 -w 0 | head -c 1024 >"$directory/site/page.html"

taskset -c "$server_core" "$built/http" "$directory/site" --listen "127.0.0.1:$coop_port" >"$directory/coop.log" 2>&1 &
pids+=($!) coop_pid=$!
taskset -c "$server_core" "$built/examples/hyper-tokio" "127.0.0.1:$hyper_port" "$directory/site/page.html" \
    >"$directory/hyper.log" 2>&1 &
pids+=($!) hyper_pid=$!

# Waits until the server at port $1 serves the file. Prints the names of its header fields, sorted.
await() {
    local line length=0
    for _ in $(seq 100); do
        if { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null; then
            printf 'GET /page.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >&3
            cat <&3 >"$directory/answer"
            exec 3>&-
            head -n 1 "$directory/answer" | grep -q ' 200 ' || { echo "port $1 has no page" >&2; exit 1; }
            tail -c 1024 "$directory/answer" | cmp -s - "$directory/site/page.html" || { echo "port $1 has another page" >&2; exit 1; }
            sed '1d; /^\r$/,$d; s/:.*//' "$directory/answer" | tr A-Z a-z | sort
            return
        fi
        sleep 0.1
    done
    echo "nobody answers at port $1:" >&2
    cat "$directory"/*.log >&2
    exit 1
}
await "$coop_port" >"$directory/coop.fields"
await "$hyper_port" >"$directory/hyper.fields"
diff "$directory/coop.fields" "$directory/hyper.fields" >&2 || { echo "the header fields are not the same" >&2; exit 1; }

ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }

# One run: server, pid, port, connections. Prints `server connections requests/s µs-of-CPU/request`.
run() {
    local before after
    before=$(ticks "$2")
    taskset -c "$client_core" wrk -t 1 -c "$4" -d "${each}s" "http://127.0.0.1:$3/page.html" >"$directory/wrk" 2>&1
    after=$(ticks "$2")
    kill -0 "$2" 2>/dev/null || { echo "$1 has died: $(tail -n 3 "$directory/$1.log")" >&2; exit 1; }
    ! grep -E 'Socket errors|Non-2xx' "$directory/wrk" >&2 || { echo "$1 has failed some" >&2; exit 1; }
    awk -v name="$1" -v connections="$4" -v ticks=$((after - before)) -v hertz="$(getconf CLK_TCK)" '
        /requests in/ { n = $1 }
        /Requests\/sec/ { rate = $2 }
        END { if (!n) exit 1; printf "%s %s %.0f %.3f\n", name, connections, rate, ticks / hertz * 1e6 / n }' "$directory/wrk"
}

results=$directory/results
for connections in 64 1000; do
    # Warms up, and is forgotten.
    run coop "$coop_pid" "$coop_port" "$connections" >/dev/null
    run hyper "$hyper_pid" "$hyper_port" "$connections" >/dev/null
    for round in $(seq "$rounds"); do
        run coop "$coop_pid" "$coop_port" "$connections" | sed "s/$/ $round/" >>"$results"
        run hyper "$hyper_pid" "$hyper_port" "$connections" | sed "s/$/ $round/" >>"$results"
    done
done

echo "medians of $rounds rounds of $each s; server on core $server_core, wrk on core $client_core"
awk '
function median(list,    n, i, j, t, a) {
    n = split(list, a, " ")
    for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (a[j] + 0 < a[i] + 0) { t = a[i]; a[i] = a[j]; a[j] = t }
    low = a[int((n - 1) / 4) + 1]; high = a[int((n - 1) * 3 / 4) + 1]
    return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
}
{
    if (!($2 in seen)) { seen[$2] = 1; order[++count] = $2 }
    rates[$1, $2] = rates[$1, $2] " " $3
    cpus[$1, $2] = cpus[$1, $2] " " $4
    rate[$1, $2, $5] = $3
    cpu[$1, $2, $5] = $4
    if ($5 + 0 > rounds) rounds = $5 + 0
}
END {
    print "| connections | coop req/s | hyper req/s | coop / hyper     | coop CPU µs | hyper CPU µs | requests a core  |"
    print "| ----------- | ---------- | ----------- | ---------------- | ----------- | ------------ | ---------------- |"
    for (i = 1; i <= count; i++) {
        key = order[i]
        speeds = costs = ""
        for (r = 1; r <= rounds; r++) {
            speeds = speeds " " rate["coop", key, r] / rate["hyper", key, r]
            if (cpu["coop", key, r] > 0) costs = costs " " cpu["hyper", key, r] / cpu["coop", key, r]
        }
        speed = median(speeds); speed = sprintf("%.2f (%.2f–%.2f)", speed, low, high)
        cost = median(costs); cost = sprintf("%.2f (%.2f–%.2f)", cost, low, high)
        printf "| %11s | %10.0f | %11.0f | %-16s | %11.2f | %12.2f | %-16s |\n", key,
            median(rates["coop", key]), median(rates["hyper", key]), speed, median(cpus["coop", key]), median(cpus["hyper", key]), cost
    }
}' "$results"
