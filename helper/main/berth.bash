# bash completion for berth(8). What there is to complete, berth's own --help says.

_berth_words() {
    "$1" "${@:2}" --help 2>/dev/null
}

_berth() {
    local program=${COMP_WORDS[0]} cur=${COMP_WORDS[COMP_CWORD]} prev='' command='' i words
    COMPREPLY=()
    [ "$COMP_CWORD" -gt 0 ] && prev=${COMP_WORDS[COMP_CWORD - 1]}
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -*) ;;
        *)
            command=${COMP_WORDS[i]}
            break
            ;;
        esac
    done
    if [ -z "$command" ]; then
        # "  reap       remove the containers ..."
        words=$(_berth_words "$program" | sed -n 's/^  \([a-z-][a-z-]*\)  *.*/\1/p')
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
        return
    fi
    case $prev in
    --user)
        mapfile -t COMPREPLY < <(compgen -u -- "$cur")
        return
        ;;
    --config | --output | --sshd-config | --pam-dir | --sftp-server)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    esac
    case $cur in
    -*)
        words=$(_berth_words "$program" "$command" |
            sed -n 's/^  \(--[a-z-][a-z-]*\).*/\1/p')
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
        ;;
    *)
        case $command in
        kill)
            words=$("$program" ps --json 2>/dev/null |
                sed -n 's/.*"session": *"\([0-9a-f]*\)".*/\1/p')
            mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
            ;;
        explain | enter) mapfile -t COMPREPLY < <(compgen -u -- "$cur") ;;
        esac
        ;;
    esac
}

complete -F _berth berth
