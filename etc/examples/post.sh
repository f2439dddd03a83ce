#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Posts events to Penstock with curl, until each has an answer that counts.
#
#     URL=http://127.0.0.1:8080 KEY=pk_... sh post.sh < events.jsonl      # curl 7.76 or later
#
# Each line is one event. It must have an id that was made once and is stored with it: then you can
# run this again with the same file at any time, also after a crash. What is stored already is
# answered with "duplicate". Exit code 1: an event was rejected, and must be changed.
set -eu
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT
rejected=0
while IFS= read -r event || [ -n "$event" ]; do
    # curl repeats the post after 408, 429, 5xx, a timeout and a lost connection, and waits for the
    # time in Retry-After, or for 5 s. On https:// it uses HTTP/2. On http:// it uses HTTP/1.1: curl
    # 7.88 cannot repeat a request with --http2-prior-knowledge. The key is not an argument, because
    # `ps` shows arguments.
    status=$(printf 'header = "Authorization: Bearer %s"\n' "$KEY" |
        curl --config - --no-progress-meter --max-time 10 \
            --retry 100000 --retry-all-errors --retry-delay 5 \
            --header 'Content-Type: application/json' --data-raw "$event" \
            --output "$answer" --write-out '%{http_code}' "$URL/v1/events") || exit 75
    printf '%s\n' "$(cat "$answer")"
    [ "$status" = 200 ] || rejected=1      # 4xx: the answer says what to change
done
exit $rejected
