#!/usr/bin/env bash
# image_install.sh KIND...: for docker/Dockerfile, as root in the image. Installs the packages of
# these kinds from packages.txt beside it, leaves no setuid file and no package lists, and writes
# what the image consists of into /usr/share/drover/packages.txt: name, version, architecture.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=deploy/build.sh
source "$root/deploy/build.sh"
mapfile -t wanted < <(packages_of_kinds "$@")
[[ ${#wanted[@]} -gt 0 ]] || { echo "image_install.sh: no package is of the kinds: $*" >&2; exit 2; }
apt_install "${wanted[@]}"
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log
find / -xdev -type f -perm /6000 -exec chmod a-s {} +
install -d /usr/share/drover
dpkg-query -W -f '${Package} ${Version} ${Architecture}\n' >/usr/share/drover/packages.txt
