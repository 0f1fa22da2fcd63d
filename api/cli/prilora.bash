# bash completion for prilora: the program itself knows what may come next.

_prilora() {
    local line=${COMP_LINE:0:COMP_POINT} word words=() IFS=$' \t\n'

    # bash cuts words at ':' and '='; ids have both, so the line is cut at spaces here
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    word=${words[-1]}
    COMPREPLY=()
    while IFS= read -r reply; do
        if [[ $reply == @files ]]; then
            compopt -o filenames
            while IFS= read -r reply; do
                COMPREPLY+=("$reply")
            done < <(compgen -f -- "$word")
        else
            COMPREPLY+=("$reply")
        fi
    done < <("${words[0]}" complete "${words[@]:1}" 2>/dev/null)
    # what bash takes for words before the last ':' or '=' stays on the line
    if [[ $word == *[:=]* && $COMP_WORDBREAKS == *[:=]* ]]; then
        local before=${word%"${word##*[:=]}"}
        COMPREPLY=("${COMPREPLY[@]#"$before"}")
    fi
}

complete -F _prilora prilora
