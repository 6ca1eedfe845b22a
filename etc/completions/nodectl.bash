# Completion of nodectl for bash; `make install` puts it where bash-completion finds it, or: source nodectl.bash
# Commands and options are read from `nodectl help`, so they are always those of the program that is called.

# The option's argument as the help names it ("FILE"), from the help text on standard input; empty: it takes none.
_nodectl_argument()
{
    sed -nE "/^Options:/,\$s/^  (-[a-z], )?(--[a-z-]+)( ([A-Z]+))?  .*/\1 \2 \4/p" |
        while read -r a b c; do
            # Without a letter the long option is the first word.
            [[ $a == --* ]] && c=$b b=$a a=
            [[ ${a%,} == "$1" || $b == "$1" ]] && echo "$c"
        done
}

_nodectl()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} help commands kind
    local -a path=()
    local -i i=1
    COMPREPLY=()
    [[ ${COMP_WORDS[1]} == help && COMP_CWORD -gt 1 ]] && i=2
    help=$("${COMP_WORDS[0]}" help 2>/dev/null) || return
    commands=$(sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p' <<<"$help")
    # Down the tree, as far as the words are commands.
    while [[ -n $commands && i -lt COMP_CWORD ]] && grep -qxF -e "${COMP_WORDS[i]}" <<<"$commands"; do
        path+=("${COMP_WORDS[i]}")
        i+=1
        help=$("${COMP_WORDS[0]}" help "${path[@]}" 2>/dev/null) || return
        commands=$(sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p' <<<"$help")
    done
    if [[ $prev == -* ]]; then
        kind=$(_nodectl_argument "$prev" <<<"$help")
        case $kind in
            "") ;;
            FILE) mapfile -t COMPREPLY < <(compgen -f -- "$cur") && return ;;
            FORMAT) mapfile -t COMPREPLY < <(compgen -W "table json" -- "$cur") && return ;;
            PROGRAM) mapfile -t COMPREPLY < <(compgen -W "sentineld noded" -- "$cur") && return ;;
            *) return ;; # an address, a number: nothing can be proposed
        esac
    fi
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(sed -nE '/^Options:/,$s/^  (-[a-z], )?(--[a-z-]+).*/\2/p' <<<"$help")" \
            -- "$cur")
    elif [[ -n $commands ]]; then
        [[ $i -eq COMP_CWORD ]] || return # behind a word that is no command
        [[ ${#path[@]} -eq 0 && $i -eq 1 ]] && commands+=" help"
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
    elif [[ ${help%%$'\n'*} == *FILE* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    fi
}

complete -F _nodectl nodectl
