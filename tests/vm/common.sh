# Shared by tests/vm/run, tests/vm/container and tests/vm/check; sourced, not run.
# shellcheck shell=bash disable=SC2034
# shellcheck source-path=SCRIPTDIR source=../../contrib/common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../../contrib/common.sh"

vm=$top/tests/vm
cache=${ZPROXY_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/zproxy-vm}

# What the userland of a machine has, beside the kernel: to build zproxy, and to run its tests.
userland=(
    systemd systemd-sysv dbus udev kmod busybox-static ca-certificates
    autoconf automake check gcc libc-ares-dev libc6-dev libedit-dev libinih-dev libjansson-dev
    libmicrohttpd-dev libssl-dev libuv1-dev make pkg-config
    # to build the package
    build-essential debhelper dpkg-dev lintian pkgconf
    # what the scenarios use
    curl e2fsprogs ethtool gdb haproxy iproute2 logrotate nftables nginx-light libnginx-mod-stream openssl
    procps python3 redis-server redis-tools strace util-linux
)

# suite_name RELEASE prints the name of a release of Debian: 13 and trixie are the same.
suite_name() {
    case $1 in
    12 | bookworm) echo bookworm ;;
    13 | trixie) echo trixie ;;
    *) die "$1: not a release that is known here; expected bookworm or trixie (12 or 13)" ;;
    esac
}

# be_root ARGUMENT... starts the script again as root, with what it needs of the environment.
be_root() {
    [ "$(id -u)" = 0 ] || as_root env XDG_CACHE_HOME="${XDG_CACHE_HOME:-$HOME/.cache}" \
        ZPROXY_VM_CACHE="$cache" TMPDIR="${TMPDIR:-/tmp}" "$0" "$@"
    [ "$(id -u)" = 0 ] || exit
}

# archive LABEL prints the address of Debian's archive, or of its security archive, that this
# machine's apt uses.
archive() {
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
        awk -F '|' -v label="$1" '$1 == "Debian" && $2 == label { print $3; exit }'
}

# sources SUITE prints the lines of sources.list. The mirror is the one of this machine.
sources() {
    local main security
    main=$(archive Debian)
    if [ -z "$main" ]; then
        as_root apt-get update >/dev/null
        main=$(archive Debian)
    fi
    [ -n "$main" ] || die "apt's sources on this machine do not have Debian's archive"
    security=$(archive Debian-Security)
    echo "deb $main $1 main"
    echo "deb $main $1-updates main"
    [ -z "$security" ] || echo "deb $security $1-security main"
}

# apt_options prints the options by which this machine's apt reaches its mirror.
apt_options() {
    apt-config dump | grep -E '^Acquire::(https?::(Proxy|Verify-|CaInfo|CaPath)|Check-(Valid-Until|Date)|Retries)' || true
}

# install_kernel ROOT is a hook of mmdebstrap. The kernel is only unpacked: what its scripts would
# make, an initial file system of all drivers, takes long and is not used. In Debian 12 its files are
# below /lib, which stays a link.
install_kernel='
    chroot "$1" sh -ec "
        cd /tmp
        image=\$(apt-cache depends linux-image-amd64 |
            sed -n \"s/^ *Depends: *\\(linux-image-[^ ]*\\)\$/\\1/p\" | head -n 1)
        apt-get download \$image
        dpkg-deb --fsys-tarfile \$image*.deb | tar -C / --keep-directory-symlink -xf -
        rm \$image*.deb
        depmod -a \$(ls /lib/modules)
        systemctl mask systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer >&2
        systemctl disable haproxy nginx redis-server >&2
    "'

# recipe SUITE KIND prints what a directory is made from.
recipe() {
    echo 'format 1'
    sources "$1"
    [ "$2" = bare ] || printf '%s\n' "${userland[@]}" "$install_kernel"
}

# make_tree SUITE KIND makes the root directory of a Debian, unless there is one by the same recipe, and
# puts its name into $tree. Kinds: bare, which has apt and what apt depends on; full, with the userland
# above and a kernel.
make_tree() {
    local suite=$1 kind=$2 options=()
    install_packages mmdebstrap
    mkdir -p "$cache"
    tree=$cache/$suite-$kind
    exec {lock}>"$tree.lock"
    flock "$lock"
    if [ "$(cat "$tree.recipe" 2>/dev/null)" != "$(recipe "$suite" "$kind")" ]; then
        printf 'making %s, as there is none by this recipe\n' "$tree" >&2
        rm -rf -- "$tree" "$tree".*[!k]
        apt_options >"$tree.apt"
        options=(--include=ca-certificates)
        if [ "$kind" = full ]; then
            options=("${userland[@]/#/--include=}" "--customize-hook=$install_kernel"
                --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*')
        fi
        sources "$suite" | nice mmdebstrap --mode=root --variant=minbase --aptopt="$tree.apt" \
            "${options[@]}" "$suite" "$tree" - >"$tree.log" 2>&1 </dev/stdin || {
            tail -n 20 "$tree.log" >&2
            rm -rf -- "$tree"
            die "mmdebstrap has failed; its last lines are above"
        }
        recipe "$suite" "$kind" >"$tree.recipe"
    fi
    flock -u "$lock"
}

# Where a command is within the tree's copy, for a file of this tree; /vm/script for another file, which
# is copied to DIRECTORY; else the word itself, a program inside.
place_command() {
    local path
    if [ -f "$1" ]; then
        path=$(realpath -- "$1")
        case $path in
        "$top"/*) echo "/vm/zproxy/${path#"$top"/}" ;;
        *)
            install -m 755 "$path" "$2/script"
            echo /vm/script
            ;;
        esac
    else
        echo "$1"
    fi
}
