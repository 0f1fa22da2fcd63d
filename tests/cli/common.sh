# Sourced by tests/cli/test_*: a real daemon with a folder of its own, both programs under ASan and
# UBSan, and cases that are functions whose names are sentences. Prints TAP.
#
#   start_daemon [OPTION...]     $PRILORAD, else what is built; on the port and state as before
#   expect STATUS COMMAND...     runs it; its output is in $work/out and $work/err
#   says TEXT, complains TEXT    the extended regexp is in $work/out, in $work/err
#   run_cases CASE...            each in a subshell of its own, ended by the first failure
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
root=$PWD
work=$(mktemp -d "${TMPDIR:-/tmp}/prilora-cli-XXXXXX") || exit 1
variant=${VARIANT:-asan}
daemon=${PRILORAD:-$root/build/$variant/prilorad}
export PATH=$root/build/$variant:$PATH HOME=$work/home TZ=UTC LC_ALL=C.UTF-8
export ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS=suppressions=$root/tests/lsan.supp:print_suppressions=0
unset XDG_CONFIG_HOME NO_COLOR PRILORA_URL PRILORA_API_KEY PRILORA_SOCKET PRILORA_CACERT \
    PRILORA_INSECURE COLUMNS http_proxy https_proxy all_proxy
port=0
mkdir -p "$work/home"

start_daemon() {
    local tries=600
    rm -f "$work/port"
    "$daemon" --server.listen=127.0.0.1:"$port" --server.port_file="$work/port" \
        --storage.state_dir="$work/state" --storage.models_dirs="$root/examples" "$@" \
        >>"$work/daemon.log" 2>&1 &
    echo $! >"$work/daemon.pid"
    disown
    while [ $((tries -= 1)) -gt 0 ]; do
        if [ -s "$work/port" ]; then
            port=$(tr -cd 0-9 <"$work/port")
            export PRILORA_URL=http://127.0.0.1:$port
            return 0
        fi
        sleep 0.1
    done
    echo "Bail out! the daemon did not start"
    cat "$work/daemon.log" >&2
    exit 1
}

# a case that restarts the daemon does so in a subshell: who runs is in a file
stop_daemon() {
    local pid
    pid=$(cat "$work/daemon.pid" 2>/dev/null) || return 0
    kill "-${1:-TERM}" "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null || true # it may be the child of another shell, hence also:
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
    rm -f "$work/daemon.pid"
}

clean_up() {
    stop_daemon
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

no_report() {
    if grep -E 'Sanitizer|runtime error' "$@"; then return 1; fi
}

expect() {
    local wanted=$1 code=0
    shift
    "$@" >"$work/out" 2>"$work/err" || code=$?
    no_report "$work/err"
    [ "$code" -eq "$wanted" ] && return 0
    echo "$*: status $code, not $wanted"
    cat "$work/out" "$work/err"
    return 1
}

matches() {
    grep -qE -- "$1" "$2" && return 0
    echo "nothing matches \"$1\" in:"
    cat "$2"
    return 1
}
says() { matches "$1" "$work/out"; }
complains() { matches "$1" "$work/err"; }

# wait_for SECONDS COMMAND...: until it succeeds
wait_for() {
    local tries=$(($1 * 10))
    shift
    while ! "$@" >/dev/null 2>&1; do
        [ $((tries -= 1)) -gt 0 ] || { echo "in vain: $*"; return 1; }
        sleep 0.1
    done
}

# sentences N: labelled text about two things
sentences() {
    awk -v n="$1" 'BEGIN {
        for (i = 0; i < n; i++)
            printf "{\"text\": \"%s number %d\", \"label\": \"%s\"}\n",
                i % 2 ? "the train is late" : "this soup is good", i, i % 2 ? "travel" : "food"
    }'
}

# submit [OPTION...]: a job of a second or two; prints its id
submit() {
    prilora submit --model prilora-mini-en "$work/train.jsonl" --valid "$work/valid.jsonl" --seed 7 \
        --set n_epochs=2 --set batch_size=4 --set max_length=16 --set prune_interval=4 "$@" \
        2>"$work/submit.err" ||
        { cat "$work/submit.err" >&2; return 1; }
}

run_cases() {
    local n=0 failures=0 code
    echo "1..$#"
    for name in "$@"; do
        n=$((n + 1))
        # not in a condition: that would switch -e off in it. -x: a failure shows where
        (
            set -eux -o pipefail
            cd "$work"
            "$name"
        ) >"$work/log" 2>&1
        code=$?
        if [ $code -eq 0 ]; then
            echo "ok $n - $name"
        else
            echo "not ok $n - $name"
            tail -n 40 "$work/log" | sed 's/^/# /'
            failures=1
        fi
    done
    stop_daemon
    if ! no_report "$work/daemon.log" >&2; then failures=1; fi
    exit $failures
}
