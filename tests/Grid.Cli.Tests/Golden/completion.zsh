#compdef grid
# grid completion for zsh: source <(grid completion zsh)
_grid() {
  local -a found
  found=("${(@f)$("${words[1]}" "[suggest:${CURSOR}]" "${BUFFER}" 2>/dev/null)}")
  compadd -- "${found[@]}"
}
compdef _grid grid
