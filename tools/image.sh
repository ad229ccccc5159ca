#!/usr/bin/env bash
# Builds the image, and does with it what deploy/Dockerfile says: tools/image.sh docker, or podman with its options.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
engine=("${@:-docker}")
folder=$(mktemp -d)
name=balancebot-try-$$
trap '"${engine[@]}" rm --force "$name" >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT
strict=(--read-only --cap-drop ALL --security-opt no-new-privileges --env HOME=)

"${engine[@]}" build --file deploy/Dockerfile --tag balancebot .

# any user, and nothing that can be written but the volume
"${engine[@]}" run --rm --network none "${strict[@]}" --user 12345 balancebot demo --once | grep "Recovered from warning"

"${engine[@]}" run --rm "${strict[@]}" --volume "$folder:/data" --user "$(id -u)" balancebot \
    init --account acme --dev-key key --dev-secret secret --pages 0.0.0.0:8080
# nothing answers there
sed --in-place 's|^# *base_url = .*|base_url = "http://127.0.0.1:9"|' "$folder/balancebot.toml"
"${engine[@]}" run --detach --name "$name" "${strict[@]}" --volume "$folder:/data" --user "$(id -u)" balancebot
for _ in $(seq 60); do
    "${engine[@]}" exec "$name" python -c \
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz')" 2>/dev/null && break
    sleep 1
done
"${engine[@]}" exec "$name" balancebot status
"${engine[@]}" exec "$name" balancebot reload
"${engine[@]}" stop --time 12 "$name"
status=$("${engine[@]}" inspect --format '{{.State.ExitCode}}' "$name")
[ "$status" = 0 ] || { echo "it ended with status $status" >&2; exit 1; }
echo "the image works"
