#!/bin/bash
# Installs the Debian packages of etc/packages.txt that are missing; does nothing when all are there. A service that
# comes with them (redis-server, redis-sentinel) is neither started now nor at the next boot.
set -euo pipefail
cd "$(dirname "$0")/../.."

LIST=etc/packages.txt
POLICY=/usr/sbin/policy-rc.d
MARK='temporary, by "make deps" of sentineld'
SERVICES='redis-server redis-sentinel'

if ! command -v dpkg-query >/dev/null; then
    echo "deps: this is no Debian system (no dpkg-query); install what $LIST names by hand" >&2
    exit 1
fi

wanted=()
while IFS='|' read -r package command; do
    if [ -z "$command" ] || ! command -v "$command" >/dev/null; then
        wanted+=("$package")
    fi
done < <(sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$LIST")
declare -A installed=()
while read -r state name; do
    [ "$state" = installed ] && installed[$name]=1
done < <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for package in "${wanted[@]}"; do
    [ -n "${installed[$package]:-}" ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "deps: installing ${missing[*]}"
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "deps: not root and there is no sudo; run as root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    exec sudo -- "$PWD/tests/tools/deps.sh"
fi

# The packages' scripts ask policy-rc.d whether they may start a service. 101 is "no".
remove_policy() {
    if grep -qsF "$MARK" "$POLICY"; then
        rm -f "$POLICY"
    fi
}
trap remove_policy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
if [ ! -e "$POLICY" ]; then
    printf '#!/bin/sh\n# %s\nexit 101\n' "$MARK" >"$POLICY.new"
    chmod 755 "$POLICY.new"
    mv "$POLICY.new" "$POLICY"
fi

export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
apt-get update || echo "deps: apt-get update failed; trying with the package lists that are there" >&2
apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}"

# A policy-rc.d that was there before may have allowed the start, and an enabled unit would start at the next boot.
for service in $SERVICES; do
    case " ${missing[*]} " in *" $service "*) ;; *) continue ;; esac
    if [ -d /run/systemd/system ]; then
        systemctl disable --now --quiet "$service.service" ||
            echo "deps: $service could not be switched off; see: systemctl status $service" >&2
    else
        if command -v systemctl >/dev/null; then
            systemctl disable --quiet "$service.service" 2>/dev/null || true
        elif command -v update-rc.d >/dev/null; then
            update-rc.d "$service" disable || true
        fi
        if service "$service" status >/dev/null 2>&1; then
            service "$service" stop
        fi
    fi
    echo "deps: $service is installed; its service was left off (to use it: systemctl enable --now $service)"
done
