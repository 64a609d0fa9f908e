# bash completion for zproxyctl(8). The names of pools and servers are requested from the running zproxy.
# shellcheck shell=bash

_zproxyctl_ask() {
    zproxyctl "${socket[@]}" "$@" 2>/dev/null
}

_zproxyctl_pools() {
    _zproxyctl_ask show pools | awk 'NR > 1 { print $1 }'
}

_zproxyctl_servers() {
    _zproxyctl_ask show servers | awk 'NR > 1 { print $1 }'
}

_zproxyctl_listeners() {
    _zproxyctl_ask show listeners | awk 'NR > 1 { print $1 }'
}

_zproxyctl_sessions() {
    _zproxyctl_ask show sessions busiest 50 | awk 'NR > 1 { print $1 }'
}

# Prints the words that may follow the given words of a command.
_zproxyctl_next() {
    case "$*" in
    "") echo show set drain rebalance pause resume wait add del close explain preview apply reload health shutdown help top ;;
    show) echo info problems listeners pools servers sessions session names certificates config ;;
    "show servers" | explain | rebalance | pause | resume | "add server") _zproxyctl_pools ;;
    "show sessions") echo busiest ;;
    "show session" | "close session") _zproxyctl_sessions ;;
    set) echo server log_level health ;;
    "set health") echo fail ok auto ;;
    health | "set health "*) _zproxyctl_listeners ;;
    "set log_level") echo error warning notice info debug ;;
    add | del) echo server ;;
    close) echo session sessions ;;
    wait)
        echo listener
        _zproxyctl_servers
        _zproxyctl_pools
        ;;
    "wait listener") _zproxyctl_listeners ;;
    "wait "*" for") echo 30s 1m ;;
    "wait "*) echo for ;;
    "set server" | drain | "del server" | "close sessions") _zproxyctl_servers ;;
    "set server "*" state") echo ready drain maint ;;
    "set server "*" weight") ;;
    "set server "*) echo state weight ;;
    "drain "*" over" | "rebalance "*" over" | "shutdown "*over | "shutdown "*after) echo 30s 5m 1h ;;
    shutdown | "shutdown after "*) echo after over ;;
    "drain "*) echo over ;;
    "rebalance "*" stop") ;;
    "rebalance "*) echo over stop ;;
    "preview "*) echo as ;;
    help) echo show set drain rebalance pause resume wait add del close explain preview apply reload health ;;
    esac
}

# Prints the options that may follow a command.
_zproxyctl_options() {
    case $1 in
    drain | shutdown) echo --wait --timeout --json --detailed-exitcode ;;
    wait) echo --timeout --json ;;
    apply) echo --check --timeout --json --detailed-exitcode ;;
    "") echo -s -j -h -v --socket --json --help --version --detailed-exitcode ;;
    *) echo --json --detailed-exitcode ;;
    esac
}

# Splits the line at spaces only: bash also splits at a colon, as in 10.0.0.1:80.
_zproxyctl() {
    local line=${COMP_LINE:0:COMP_POINT} word='' before i
    local -a words=() socket=() command=()
    read -ra words <<<"$line"
    if [[ $line != *[[:space:]] ]]; then
        word=${words[-1]}
        unset 'words[-1]'
    fi
    for ((i = 1; i < ${#words[@]}; i++)); do
        case ${words[i]} in
        -s | --socket)
            socket=(-s "${words[i + 1]-}")
            i=$((i + 1))
            ;;
        --timeout) i=$((i + 1)) ;;
        -*) ;;
        *) command+=("${words[i]}") ;;
        esac
    done
    before=${words[-1]-}
    COMPREPLY=()
    if [[ $before == -s || $before == --socket || ${command[*]} =~ ^(preview|apply|preview\ [^ ]+\ as)$ &&
        $word != -* ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
    elif [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_zproxyctl_options "${command[0]-}")" -- "$word")
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "$(_zproxyctl_next "${command[@]}")" -- "$word")
    if [[ $word == *:* && $COMP_WORDBREAKS == *:* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*:}"}"}") # bash keeps the part before the colon
    fi
}

complete -F _zproxyctl zproxyctl
