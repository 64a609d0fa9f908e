# Shared by contrib/quickstart, contrib/run-tests and contrib/debian-build; sourced, not run.
# shellcheck shell=bash disable=SC2034

top=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
    bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
    bold='' green='' red='' plain=''
fi

die() {
    printf '%s: %s%s%s\n' "${0##*/}" "$red" "$*" "$plain" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root: run it as root, or install sudo. Command: $*"
    fi
}

# available PACKAGE... prints the packages, and of "one|other" the first that this release has.
available() {
    local package one
    local -a some
    for package; do
        IFS='|' read -ra some <<<"$package"
        # Without lists apt knows only what is installed.
        if [ "${#some[@]}" -gt 1 ] && compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; then
            for one in "${some[@]}"; do
                [ -z "$(apt-cache show --no-all-versions "$one" 2>/dev/null)" ] || break
            done
        else
            one=${some[0]}
        fi
        printf '%s\n' "$one"
    done
}

# missing_packages PACKAGE... prints those that are not installed.
missing_packages() {
    local package
    for package; do
        # shellcheck disable=SC2016 # dpkg's variable, not the shell's
        case $(dpkg-query -W -f '${Status}' "$(available "$package")" 2>/dev/null) in
        'install ok installed') ;;
        *) printf '%s\n' "$package" ;;
        esac
    done
}

# install_packages PACKAGE... installs the packages that are missing ("one|other": one of both). Their services are neither
# started nor enabled. Services that were installed before are not changed.
install_packages() {
    local policy=/usr/sbin/policy-rc.d log rc=0 package made=
    local -a missing
    command -v apt-get >/dev/null || die "apt-get was not found: this script needs Debian 12 or 13, or a derivative"
    mapfile -t missing < <(missing_packages "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    printf 'installing: %s\n' "${missing[*]}"

    if [ ! -e "$policy" ]; then
        # The policy is in effect only while this script runs, even if it is killed.
        printf '#!/bin/sh\n[ ! -d /proc/%s ] || exit 101\n' "$$" |
            as_root sh -c "cat >$policy && chmod 755 $policy"
        made=yes
    fi
    log=$(mktemp)
    {
        as_root apt-get update && mapfile -t missing < <(available "${missing[@]}") &&
            as_root env DEBIAN_FRONTEND=noninteractive \
                apt-get install -y --no-install-recommends "${missing[@]}"
    } </dev/null >"$log" 2>&1 || rc=$?
    [ -z "$made" ] || as_root rm -f "$policy"
    if [ "$rc" != 0 ]; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "apt-get could not install these packages; its last lines are above"
    fi
    rm -f "$log"
    for package in "${missing[@]}"; do
        [ ! -e "/etc/init.d/$package" ] ||
            as_root update-rc.d "$package" disable >/dev/null 2>&1 || true
    done
}

# copy_source DIRECTORY copies the tree without build results. A build from the copy starts from
# scratch and does not change the tree.
copy_source() {
    mkdir -p "$1"
    tar -C "$top" -cf - \
        --exclude=./.git --exclude='./build*' --exclude=./deb --exclude=./release --exclude=./autom4te.cache \
        --exclude='./zproxy-[0-9]*' \
        --exclude=./config.status --exclude=./src/build.h --exclude=stamp-h1 \
        --exclude=Makefile.in --exclude=./Makefile --exclude=./src/Makefile \
        --exclude=./tests/Makefile --exclude=.deps --exclude=.dirstamp \
        --exclude='*.o' --exclude='*.a' --exclude='*.trs' --exclude='*.log' . |
        tar -C "$1" --no-same-owner -xf -
}
