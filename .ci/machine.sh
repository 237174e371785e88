# shellcheck shell=bash
# What demo, check and .ci/run need of the machine they run on: packages, an
# engine, a copy of the sources and a build of it. Sourced, never run. Whoever
# sources it has set `me` (the name in front of its lines), `work` (a folder
# of its own) and `top` (the sources).
# shellcheck disable=SC2034  # build_packages and others are the sourcer's
: "${me:?}" "${work:?}" "${top:?}"

say() {
    printf '%s: %s\n' "$me" "$*" >&2
}

die() {
    say "$@"
    exit 1
}

exit_actions=()

# on_exit COMMAND...: run when the script ends, the latest first.
on_exit() {
    exit_actions=("$*" "${exit_actions[@]}")
    trap exit_run EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

exit_run() {
    local status=$? action
    trap - EXIT
    trap '' INT TERM HUP
    set +e
    for action in "${exit_actions[@]}"; do
        $action
    done
    exit "$status"
}

# logged TEXT COMMAND...: says TEXT and runs the command with its output in
# $log. Returns its status.
logged() {
    local text=$1 status errexit=$-
    shift
    mkdir -p "$work/log"
    log=$work/log/$(printf '%s' "$text" | tr -cs 'A-Za-z0-9._' '-' | cut -c 1-60).log
    say "$text"
    # Not `if ( ... )`: in there the shell would not stop at the first failure.
    set +e
    (
        trap - EXIT
        set -e
        "$@"
    ) >"$log" 2>&1 </dev/null
    status=$?
    case $errexit in *e*) set -e ;; esac
    return "$status"
}

# The same, and the end where it fails: the end of the log says why.
step() {
    local status=0
    set +e
    logged "$@"
    status=$?
    set -e
    if [ "$status" -ne 0 ]; then
        say "failed: $1 (exit $status). The end of its log:"
        tail -n 20 "$log" >&2
        exit 1
    fi
}

# wait_for SECONDS COMMAND...: until the command succeeds; 1 when it never did.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.2
    done
}

gone() {
    ! kill -0 "$1" 2>/dev/null
}

# end_process PID SECONDS: TERM, and KILL for one that doesn't heed it.
end_process() {
    kill "$1" 2>/dev/null || return 0
    wait_for "$2" gone "$1" && return 0
    kill -KILL "$1" 2>/dev/null || true
    wait_for 5 gone "$1"
}

# --- packages -----------------------------------------------------------

package_there() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

policy=/usr/sbin/policy-rc.d

# While packages are unpacked none of their services may start: opening a port
# 22 that was closed is not ours to do. policy-rc.d is Debian's switch for it.
services_hold() {
    if [ -e "$policy" ]; then
        mv "$policy" "$policy.before-berth"
    fi
    printf '#!/bin/sh\n# Put here by berth for one apt-get.\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

# Mends what a killed run left behind, too.
services_release() {
    if [ -e "$policy.before-berth" ]; then
        mv -f "$policy.before-berth" "$policy"
    elif grep -qs 'Put here by berth for one apt-get' "$policy"; then
        rm -f "$policy"
    fi
}

packages_fetch() {
    local want name names=()
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    for want in "$@"; do
        for name in ${want//|/ }; do
            apt-cache show "$name" >/dev/null 2>&1 && break
        done
        names+=("$name")
    done
    apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 \
        -o DPkg::Lock::Timeout=300 "${names[@]}"
}

# packages_install NAME...: those that are missing. `a|b` is whichever of the
# two the release has.
packages_install() {
    local want name found missing=() sshd_is_new=yes
    services_release
    for want in "$@"; do
        found=
        for name in ${want//|/ }; do
            package_there "$name" && found=$name
        done
        [ -n "$found" ] || missing+=("$want")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null ||
        die "missing: ${missing[*]}, and no apt-get to install them with"
    package_there openssh-server && sshd_is_new=no
    on_exit services_release
    services_hold
    step "installing ${missing[*]}" packages_fetch "${missing[@]}"
    services_release
    if [ "$sshd_is_new" = yes ] && package_there openssh-server; then
        # The package would start its service at the next boot.
        update-rc.d ssh disable >/dev/null 2>&1 || true
        if command -v systemctl >/dev/null; then
            systemctl disable ssh.service ssh.socket >/dev/null 2>&1 || true
        fi
        say "openssh-server is new on this machine; its own service stays off"
    fi
}

build_packages=(autoconf automake pkg-config gcc libc6-dev make
    libcurl4-openssl-dev libjson-c-dev libconfuse-dev libcmocka-dev
    libpam0g-dev libseccomp-dev)

# An engine that came another way than as docker.io (docker-ce, say) conflicts
# with that package, so programs are asked for, not packages.
packages_engine() {
    if ! command -v dockerd >/dev/null; then
        packages_install docker.io ca-certificates
        say "docker.io is new on this machine; its own service starts with the next boot"
    fi
    command -v docker >/dev/null || packages_install docker-cli
    command -v docker-init >/dev/null || command -v tini >/dev/null || packages_install tini
}

# --- engine -------------------------------------------------------------

engine_socket=/run/docker.sock
# Where an engine writes whatever its options say.
engine_strays=(/etc/docker/key.json /etc/docker /opt/containerd /run/docker)

engine_answers() {
    timeout 10 docker -H "unix://$engine_socket" version --format '{{.Server.Version}}' \
        >/dev/null 2>&1 </dev/null
}

# engine_start DIR OPTION...: an engine with all its files in DIR. Its bridge leads
# nowhere: no firewall rules and no forwarding that would have to be undone.
engine_start() {
    local dir=$1 stray
    shift
    mkdir -p "$dir"
    [ -e /sys/class/net/docker0 ] || touch "$dir/made-docker0"
    printf '{}\n' >"$dir/daemon.json"
    # Started a second time, after a reboot, it finds its own.
    [ -e "$dir/strays" ] || for stray in "${engine_strays[@]}"; do
        [ -e "$stray" ] || printf '%s\n' "$stray"
    done >"$dir/strays"
    rm -f "$dir/dockerd.pid"
    getent group docker >/dev/null || groupadd --system docker
    # A session of its own, so that a Ctrl-C meant for the caller passes it by.
    setsid -f dockerd --config-file "$dir/daemon.json" --data-root "$dir/data" \
        --exec-root "$dir/exec" --pidfile "$dir/dockerd.pid" -H "unix://$engine_socket" \
        -G docker --iptables=false --ip-masq=false --ip-forward=false "$@" \
        >"$dir/dockerd.log" 2>&1 </dev/null 9>&-
    if ! wait_for 60 engine_answers; then
        tail -n 20 "$dir/dockerd.log"
        return 1
    fi
}

# engine_stop DIR: the one that engine_start started there; no other.
engine_stop() {
    local dir=$1 pid mount stray
    [ -d "$dir" ] || return 0
    pid=$(cat "$dir/dockerd.pid" 2>/dev/null) || pid=
    if [ -n "$pid" ] && grep -qs -- "$dir/" "/proc/$pid/cmdline"; then
        end_process "$pid" 30
    fi
    pid=$(cat "$dir/exec/containerd/containerd.pid" 2>/dev/null) || pid=
    if [ -n "$pid" ] && grep -qs -- "$dir/" "/proc/$pid/cmdline"; then
        end_process "$pid" 10
    fi
    if [ -e "$dir/made-docker0" ] && [ -e /sys/class/net/docker0 ]; then
        ip link delete docker0 || true
    fi
    # What an engine killed before its time left mounted would stop rm.
    while read -r _ mount _; do
        case $mount in "$dir"/*) umount -l "$mount" ;; esac
    done </proc/self/mounts
    while read -r stray; do
        [ -d "$stray" ] || rm -f "$stray"
        find "$stray" -depth -type d -empty -delete 2>/dev/null || true
    done <"$dir/strays"
    rm -rf --one-file-system "$dir"
}

# busybox_image NAME DIR: an image of busybox alone, made without a registry.
busybox_image() {
    local name=$1 dir=$2 busybox applet
    busybox=$(command -v busybox)
    rm -rf "$dir"
    mkdir -p "$dir"/{bin,dev,etc,home,proc,root,sys,tmp,usr,var}
    chmod 1777 "$dir/tmp"
    cp "$busybox" "$dir/bin/busybox"
    for applet in $("$busybox" --list); do
        [ "$applet" = busybox ] || ln -s busybox "$dir/bin/$applet"
    done
    printf 'root:x:0:0:root:/root:/bin/sh\n' >"$dir/etc/passwd"
    printf 'root:x:0:\n' >"$dir/etc/group"
    tar -C "$dir" -c . | docker -H "unix://$engine_socket" import \
        -c 'ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin' -c 'CMD ["/bin/sh"]' - "$name"
    rm -rf "$dir"
}

# --- sources and build --------------------------------------------------

# The names of the source files, NUL after each. In a checkout git knows them;
# elsewhere everything counts that a build in the tree would not have made.
source_list() {
    if [ -e "$top/.git" ] && command -v git >/dev/null; then
        git -c safe.directory='*' -C "$top" ls-files -z --cached --others --exclude-standard
    else
        (cd "$top" && find . -type f ! -path './.git/*' ! -name '*.o' ! -name '*.a' \
            ! -name config.status ! -name config.h ! -name Makefile -print0)
    fi | sort -z | (cd "$top" && while IFS= read -r -d '' name; do
        # Git also lists what was deleted and not yet committed.
        if [ -f "$name" ]; then printf '%s\0' "$name"; fi
    done)
}

# One word that changes when a source file does.
source_mark() {
    (cd "$top" && source_list | xargs -0 sha256sum) | sha256sum | cut -d ' ' -f 1
}

# A copy, so that autogen.sh and the tests leave nothing in the caller's tree.
source_copy() {
    rm -rf "$1"
    mkdir -p "$1"
    source_list | tar -C "$top" --null -T - -c | tar -C "$1" --no-same-owner -x
}

# build DIR PREFIX ARG...: from a copy in DIR/source, in DIR/build.
build_configure() {
    local dir=$1 prefix=$2
    shift 2
    (cd "$dir/source" && ./autogen.sh)
    rm -rf "$dir/build"
    mkdir -p "$dir/build"
    cd "$dir/build"
    ../source/configure --prefix="$prefix" --sysconfdir="$prefix/etc" "$@"
}

build_make() {
    make -C "$1/build" -j "$(nproc)"
}

build_install() {
    make -C "$1/build" install
}
