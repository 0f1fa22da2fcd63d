#!/usr/bin/env bash
# examples/demo.sh PRILORAD - the whole path with curl: starts the daemon PRILORAD on a free port,
# uploads the support desk messages, trains on them with PRILoRA, shows ranks and pruning while it
# runs (by prilora, which is beside it), labels messages, downloads the adapter and stops the daemon.
# Needs bash, curl and jq.
#
# For other data or another model (all optional):
#   TRAIN=my-train.jsonl VALID=my-valid.jsonl  labelled text, as in examples/support-desk
#   MODELS=/srv/models MODEL=deberta-v3-base   the folder of base models, and one of them
#   HYPERPARAMETERS='{"n_epochs": 3}' SEED=1   {} means the daemon's defaults
#   OUT=folder                                 where the adapter goes; default build/demo
set -eu -o pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
daemon=${1:?usage: examples/demo.sh PRILORAD}
prilora=$(dirname "$daemon")/prilora # its client, built beside it
train=${TRAIN:-$here/support-desk/train.jsonl}
valid=${VALID:-$here/support-desk/valid.jsonl}
models=${MODELS:-$here}
model=${MODEL:-prilora-mini-en}
out=${OUT:-build/demo}
seed=${SEED:-42}
# a small base and few messages: more passes, a warmer start and a smaller alpha than the defaults
tuned='{"n_epochs": 16, "batch_size": 32, "learning_rate": 3e-3, "warmup_ratio": 0.15, "lora_alpha": 8}'
hyperparameters=${HYPERPARAMETERS:-$tuned}

pid='' url='' job='' drawn=0
work=$(mktemp -d)
# settings of the user's own that are for another daemon
unset PRILORA_API_KEY PRILORA_SOCKET XDG_CONFIG_HOME
export HOME=$work

say() { printf '%s\n' "$*"; }

fail() {
    say "demo: $*" >&2
    exit 1
}

# Stops the daemon as systemd would; one that does not go within 20 s is killed, and fails.
stop_daemon() {
    local stopping=$pid tries=200
    [ -n "$pid" ] || return 0
    pid=''
    kill -TERM "$stopping" 2>/dev/null || true
    while [ $((tries -= 1)) -gt 0 ] && kill -0 "$stopping" 2>/dev/null; do sleep 0.1; done
    kill -KILL "$stopping" 2>/dev/null || true
    wait "$stopping"
}

clean_up() {
    local code=$?
    trap - EXIT INT TERM HUP
    stop_daemon || [ "$code" -ne 0 ] || code=1
    if [ "$code" -ne 0 ] && [ "$code" -le 128 ] && [ -s "$work/log" ]; then
        say "demo: the daemon's log:" >&2
        tail -n 60 "$work/log" >&2
    fi
    rm -rf "$work"
    exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# api PATH [CURL ARGUMENT...]: the answer's body; what the daemon refuses ends the demo
api() {
    local path=$1
    shift
    if ! curl -sS --fail-with-body --max-time 60 "$@" "$url$path" >"$work/answer"; then
        fail "$path: $(jq -r '.error.message // .' "$work/answer" 2>/dev/null || true)"
    fi
    cat "$work/answer"
}

start_daemon() {
    local tries=300
    [ -x "$daemon" ] || fail "$daemon: no such program (make builds it)"
    "$daemon" --server.listen=127.0.0.1:0 --server.port_file="$work/port" \
        --storage.state_dir="$work/state" --storage.models_dirs="$models" >"$work/log" 2>&1 &
    pid=$!
    while [ $((tries -= 1)) -gt 0 ]; do
        kill -0 "$pid" 2>/dev/null || fail "the daemon did not start"
        if [ -s "$work/port" ]; then
            url=http://127.0.0.1:$(tr -cd 0-9 <"$work/port")
            export PRILORA_URL=$url
            curl -sf --max-time 5 -o "$work/answer" "$url/readyz" && return
        fi
        sleep 0.1
    done
    fail "the daemon is not ready after 30 s"
}

upload() { api /v1/files -F purpose=fine-tune -F "file=@$1" | jq -er .id; }

submit() {
    jq -n --arg model "$model" --arg train "$1" --arg valid "$2" --argjson seed "$seed" \
        --argjson settings "$hyperparameters" '{
            model: $model, training_file: $train, validation_file: $valid, seed: $seed,
            method: {type: "prilora", prilora: {hyperparameters: $settings}}}' >"$work/request"
    api /v1/fine_tuning/jobs -H 'Content-Type: application/json' --data-binary "@$work/request" |
        jq -er .id
}

# One row a layer, one column a map: the rank, and how much of A is zero.
layers() { "$prilora" layers "$job" | sed 's/^/  /'; }

# A line of progress out of a job object; $1: characters of the bar, 0 for none
progress_line() {
    jq -r --argjson width "$1" '
        def one: . * 10 | round / 10;
        def clock: round | "\(. / 60 | floor):\(. % 60 + 100 | tostring[1:])";
        .status as $status | (.progress // {}) |
        if (.total_steps // 0) == 0 then "  \($status)" else
            (.percent * $width / 100 | floor) as $full
            | (if $width == 0 then "" else
                  "  [" + (("#" * $full) // "") + (("." * ($width - $full)) // "") + "]" end)
              + "  \(.percent | round) %  step \(.step)/\(.total_steps)"
              + (if .loss then "  loss \(.loss * 1000 | round / 1000)" else "" end)
              + (if .tokens_per_second then "  \(.tokens_per_second | round) tokens/s" else "" end)
              + (if .seconds_left then "  \(.seconds_left | clock) left" else "" end)
        end'
}

# Writes over what the last call drew.
draw() {
    local line
    [ "$drawn" -eq 0 ] || printf '\033[%dA' "$drawn"
    drawn=0
    while IFS= read -r line; do
        printf '\033[K%s\n' "$line"
        drawn=$((drawn + 1))
    done
}

# Follows the job to its end: on a terminal rewritten in place, else a line every few seconds.
follow() {
    local status='' pause=3
    [ ! -t 1 ] || pause=0.4
    while :; do
        api "/v1/fine_tuning/jobs/$job" >"$work/job"
        status=$(jq -r .status "$work/job")
        if [ -t 1 ]; then
            { layers && progress_line 20 <"$work/job"; } >"$work/screen"
            draw <"$work/screen"
        else
            progress_line 0 <"$work/job"
        fi
        case $status in
        succeeded) return ;;
        failed | cancelled) fail "job $status: $(jq -r '.error.message // "no reason given"' "$work/job")" ;;
        esac
        sleep "$pause"
    done
}

results() {
    jq -r '
        def percent: "\(. * 1000 | round / 10) %";
        def figure: if .key == "accuracy" or .key == "f1" then .value | percent
                    else .value * 1000 | round / 1000 end;
        .result | .majority_baseline as $base
        | (.metrics | to_entries[] | "  \(.key) \(figure)" + (if .key == "accuracy" and $base
              then "   (always saying the most frequent label: \($base | percent))" else "" end)),
          "  as it was after step \(.best_step), the best of all evaluations on these messages",
          "  \(.trained_tokens) tokens in \(.seconds | round) s"' "$work/job"
}

# The archive holds one folder, named after the job; its files are unpacked without it.
download() {
    mkdir -p "$out"
    api "/v1/fine_tuning/jobs/$job/adapter" --max-time 600 >"$out/adapter.tar"
    rm -rf "$out/adapter"
    mkdir "$out/adapter"
    tar -xf "$out/adapter.tar" -C "$out/adapter" --strip-components=1
    (cd "$out/adapter" && find . -type f | sort | while IFS= read -r file; do
        printf '  %10d  %s\n' "$(wc -c <"$file")" "${file#./}"
    done)
}

start_daemon
say "prilorad is ready at $url"
train_id=$(upload "$train")
valid_id=$(upload "$valid")
say "uploaded $(wc -l <"$train") messages to train on, $(wc -l <"$valid") to validate"
job=$(submit "$train_id" "$valid_id")
say "submitted $job: $model with PRILoRA, $(jq -c '.method.prilora.hyperparameters' "$work/request")"
follow
say ""
say "the layers as the last pruning left them:"
layers
say "on the messages it was not trained on:"
results
say "what it says of the first of them:"
head -n 3 "$valid" | "$prilora" predict "$(jq -r .fine_tuned_model "$work/job")" --jsonl --file - | sed 's/^/  /'
say "adapter, kept in $out (adapter.tar, unpacked in adapter/):"
download
labels=$(jq -rs 'map(.label) | unique | length' "$train")
cat <<EOF
load it with Hugging Face:
  from transformers import AutoModelForSequenceClassification
  from peft import PeftModel
  base = AutoModelForSequenceClassification.from_pretrained("$models/$model", num_labels=$labels)
  tuned = PeftModel.from_pretrained(base, "$out/adapter")
EOF
stop_daemon || fail "the daemon ended with an error"
