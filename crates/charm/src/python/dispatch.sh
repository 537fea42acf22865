#!/bin/sh
# The charm's entry point, written when it was prepared. It starts the charm's script with a Python that fits the
# dependencies in venv/. The interpreter found is remembered as a link, so that later events start at once.
charm=${JUJU_CHARM_DIR:-$(cd "$(dirname "$0")" && pwd)}
python=$charm/venv/bin/python-for-@WANTED@
if ! [ -x "$python" ]; then
    found=
    for name in python@VERSION@ python3; do
        found=$("$name" -I -c '
import os, sys
if "@WANTED@" in ("any", "%d.%d" % sys.version_info[:2]):
    print(os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable))' 2>/dev/null)
        [ -n "$found" ] && break
    done
    if [ -z "$found" ]; then
        echo "This charm was prepared for Python @VERSION@, which this machine does not have." \
            "Install python@VERSION@, or pack the charm again with the Python that is here." >&2
        exit 1
    fi
    mkdir -p "$charm/venv/bin" 2>/dev/null && ln -sfn "$found" "$python" 2>/dev/null || python=$found
fi
cd "$charm" || exit 1
export JUJU_DISPATCH_PATH="${JUJU_DISPATCH_PATH:-$0}"
export PYTHONPATH="$charm/lib:$charm/src:$charm/venv"
exec "$python" "@ENTRY@"
