# grid completion for bash: source <(grid completion bash)
_grid() {
  local line="${COMP_LINE}" IFS=$'\n'
  COMPREPLY=( $(compgen -W "$("${COMP_WORDS[0]}" "[suggest:${COMP_POINT}]" "${line}" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}") )
}
complete -F _grid grid
