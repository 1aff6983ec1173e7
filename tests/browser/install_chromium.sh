#!/bin/sh
# Chromium for the browser tests: the system's, installed where none is found and we may.
for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Chromium for the browser tests ..."
    log=$(mktemp)
    if apt-get update -qq >"$log" 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >>"$log" 2>&1; then
        rm -f "$log"
    else
        tail -n 5 "$log"
        rm -f "$log"
        echo "Chromium could not be installed; the browser tests will be skipped."
    fi
else
    echo "No Chromium is found and it cannot be installed from here; the browser tests will be skipped."
fi
