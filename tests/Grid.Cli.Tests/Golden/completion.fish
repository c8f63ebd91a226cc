# grid completion for fish: grid completion fish | source
function __grid_complete
  set -l line (commandline -p)
  grid "[suggest:"(string length -- "$line")"]" "$line" 2>/dev/null
end
complete -c grid -f -a "(__grid_complete)"
