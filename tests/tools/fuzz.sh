#!/bin/bash
# fuzz.sh SECONDS JOBS FUZZER...: runs each fuzzer for so long, or, as "RUNSx", for so many inputs. What
# it learns is kept beside the program; the corpus in
# tests/fuzz/corpus/<name> is read and never written. An input that breaks something is kept and named. A fuzzer whose
# source says "at most N inputs" gets no more of them when they are counted: each costs much.
set -euo pipefail
seconds=$1 jobs=$2
shift 2

one() {
    local seconds=$1 program=$2 name kept log
    name=$(basename "$program")
    kept=$(dirname "$program")/corpus/$name
    log=$(dirname "$program")/$name.log
    mkdir -p "$kept"
    local given=()
    [ -d "tests/fuzz/corpus/$name" ] && given=("tests/fuzz/corpus/$name")
    local bound=-max_total_time=$seconds
    if [[ $seconds == *x ]]; then
        local runs=${seconds%x} most
        most=$(sed -n 's/.*at most \([0-9]*\) inputs.*/\1/p' "tests/fuzz/$name.c" | head -n 1)
        [ -n "$most" ] && [ "$most" -lt "$runs" ] && runs=$most
        bound=-runs=$runs
    fi
    if "$program" "$bound" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$(dirname "$program")/$name." "$kept" "${given[@]}" >"$log" 2>&1; then
        echo "ok   $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs"
    else
        tail -n 60 "$log" | sed 's/^/     /'
        echo "FAIL $name: see $log"
        return 1
    fi
}
export -f one

answers=$(printf '%s\0' "$@" | xargs -0 -P "$jobs" -I{} bash -c 'one "$@"' fuzz "$seconds" {} | tee /dev/stderr) || true
passed=$(grep -c '^ok ' <<<"$answers" || true)
echo "$passed passed, $(($# - passed)) failed"
[ "$passed" -eq $# ]
