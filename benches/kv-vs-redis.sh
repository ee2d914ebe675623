#!/usr/bin/env bash
# The kv example against the real Redis server, under the real redis-benchmark: GET and SET from 50 connections, one request at
# a time (P=1) and 16 at a time (P=16). Interleaved: kv, redis, kv, redis …; the server on one core, the client on another.
#
#   benches/kv-vs-redis.sh [ROUNDS]        at least 5 unless QUICK=1, which only sees that everything runs
#
# Needs redis-server and redis-benchmark in PATH; installs nothing. Both servers listen on 127.0.0.1 only, keep nothing on
# disk, and are stopped at the end. KV_PORT and REDIS_PORT say where, SERVER_CORE and CLIENT_CORE on which cores.
set -euo pipefail
cd "$(dirname "$0")/.."

quick=${QUICK:-0}
rounds=${1:-9}
if [ "$quick" = 1 ]; then rounds=1; elif [ "$rounds" -lt 5 ]; then rounds=5; fi
kv_port=${KV_PORT:-17379} redis_port=${REDIS_PORT:-16379}

for program in redis-server redis-benchmark taskset; do
    command -v "$program" >/dev/null || { echo "$program is not in PATH" >&2; exit 1; }
done
cargo build --quiet --release -p examples --bin kv
kv=${CARGO_TARGET_DIR:-target}/release/kv

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

taskset -c "$server_core" "$kv" --port "$kv_port" >"$directory/kv.log" 2>&1 &
pids+=($!) kv_pid=$!
taskset -c "$server_core" redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no --dir "$directory" \
    >"$directory/redis.log" 2>&1 &
pids+=($!) redis_pid=$!

# Waits until the server at port $1 answers a PING, and sees that it keeps what it is given.
await() {
    local reply
    for _ in $(seq 100); do
        if { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null; then
            printf 'SET bench:probe it-works\r\nGET bench:probe\r\n' >&3
            read -r reply <&3
            [ "${reply%$'\r'}" = +OK ] || { echo "port $1 answers SET with $reply" >&2; exit 1; }
            read -r reply <&3 && read -r reply <&3
            [ "${reply%$'\r'}" = it-works ] || { echo "port $1 answers GET with $reply" >&2; exit 1; }
            exec 3>&-
            return
        fi
        sleep 0.1
    done
    echo "nobody answers at port $1:" >&2
    cat "$directory"/*.log >&2
    exit 1
}
await "$kv_port"
await "$redis_port"

ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }

# One run: server, pid, port, test, pipeline, requests. Prints `server test pipeline requests/s µs-of-CPU/request`.
run() {
    local before after rate
    before=$(ticks "$2")
    rate=$(taskset -c "$client_core" redis-benchmark -p "$3" -t "$4" -c 50 -P "$5" -n "$6" --csv 2>/dev/null |
        awk -F'","' 'NR == 2 { print $2 }') || true
    kill -0 "$2" 2>/dev/null || { echo "$1 has died: $(tail -n 3 "$directory/$1.log")" >&2; exit 1; }
    after=$(ticks "$2")
    [ -n "$rate" ] || { echo "redis-benchmark had no result for $1 $4 -P $5" >&2; exit 1; }
    awk -v name="$1" -v test="$4" -v pipeline="$5" -v rate="$rate" -v ticks=$((after - before)) -v n="$6" -v hertz="$(getconf CLK_TCK)" \
        'BEGIN { printf "%s %s %s %.0f %.3f\n", name, test, pipeline, rate, ticks / hertz * 1e6 / n }'
}

results=$directory/results
for pipeline in 1 16; do
    # Long enough for the server's CPU time, which is counted in hundredths of a second.
    requests=$((pipeline == 1 ? 200000 : 3000000))
    [ "$quick" = 1 ] && requests=20000
    for test in set get; do
        # Warms up, and is forgotten.
        run kv "$kv_pid" "$kv_port" "$test" "$pipeline" $((requests / 4)) >/dev/null
        run redis "$redis_pid" "$redis_port" "$test" "$pipeline" $((requests / 4)) >/dev/null
        for round in $(seq "$rounds"); do
            run kv "$kv_pid" "$kv_port" "$test" "$pipeline" "$requests" | sed "s/$/ $round/" >>"$results"
            run redis "$redis_pid" "$redis_port" "$test" "$pipeline" "$requests" | sed "s/$/ $round/" >>"$results"
        done
    done
done

echo "medians of $rounds rounds; server on core $server_core, client on core $client_core; $(redis-server --version | cut -d' ' -f3)"
awk '
function median(list,    n, i, j, t, a) {
    n = split(list, a, " ")
    for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (a[j] + 0 < a[i] + 0) { t = a[i]; a[i] = a[j]; a[j] = t }
    low = a[int((n - 1) / 4) + 1]; high = a[int((n - 1) * 3 / 4) + 1]
    return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
}
{
    key = $2 " " $3
    if (!(key in seen)) { seen[key] = 1; order[++count] = key }
    rates[$1, key] = rates[$1, key] " " $4
    cpus[$1, key] = cpus[$1, key] " " $5
    rate[$1, key, $6] = $4
    cpu[$1, key, $6] = $5
    if ($6 + 0 > rounds) rounds = $6 + 0
}
END {
    print "| test | P  | kv req/s | redis req/s | kv / redis       | kv CPU µs | redis CPU µs | kv / redis       |"
    print "| ---- | -- | -------- | ----------- | ---------------- | --------- | ------------ | ---------------- |"
    for (i = 1; i <= count; i++) {
        key = order[i]; split(key, part, " ")
        speeds = costs = ""
        for (r = 1; r <= rounds; r++) {
            speeds = speeds " " rate["kv", key, r] / rate["redis", key, r]
            if (cpu["redis", key, r] > 0) costs = costs " " cpu["kv", key, r] / cpu["redis", key, r]
        }
        speed = median(speeds); speed = sprintf("%.2f (%.2f–%.2f)", speed, low, high)
        cost = median(costs); cost = sprintf("%.2f (%.2f–%.2f)", cost, low, high)
        printf "| %-4s | %2s | %8.0f | %11.0f | %-16s | %9.2f | %12.2f | %-16s |\n", part[1], part[2],
            median(rates["kv", key]), median(rates["redis", key]), speed, median(cpus["kv", key]), median(cpus["redis", key]), cost
    }
}' "$results"
