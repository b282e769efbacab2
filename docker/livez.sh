#!/bin/bash
# drover-livez [PATH [PORT]]: succeeds when the daemon in this container answers GET PATH with 200.
# PATH is /livez or /readyz; every daemon in a container serves --metrics on port 9464.
set -euo pipefail
exec 3<>"/dev/tcp/127.0.0.1/${2:-9464}"
printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "${1:-/livez}" >&3
read -r -t 4 _ code _ <&3
[[ $code == 200 ]]
