# grid completion for bash: source <(grid completion bash)
_grid() {
  local found word="${COMP_WORDS[COMP_CWORD]}"
  COMPREPLY=()
  while IFS= read -r found; do
    if [[ -n $found && $found == "$word"* ]]; then COMPREPLY+=("$found"); fi
  done < <("${COMP_WORDS[0]}" "[suggest:${COMP_POINT}]" "${COMP_LINE}" 2>/dev/null)
}
complete -F _grid grid
