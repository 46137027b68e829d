/**
 * What each shell runs at Tab. All of them ask the program itself (`mcpctl __complete`), so that a new option is known
 * without a new script: a candidate a line, a tab before the words about it; `:files` for names of files.
 */

const bash = `# bash completion for mcpctl. Load it with: source <(mcpctl completion bash)
_mcpctl() {
  local program line
  program=$(type -P -- "\${COMP_WORDS[0]}") || program=mcpctl
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")
      return
    fi
    COMPREPLY+=("\${line%%$'\\t'*}")
  done < <("$program" __complete bash -- "\${COMP_LINE:0:$COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
}
complete -F _mcpctl mcpctl
`;

const zsh = `#compdef mcpctl
# zsh completion for mcpctl. Load it with: source <(mcpctl completion zsh)
_mcpctl() {
  local program=mcpctl line value about
  local -a lines described
  [[ $words[1] == */* ]] && program=\${~words[1]}
  lines=("\${(@f)$("$program" __complete zsh -- "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)}")
  if [[ $lines[1] == :files ]]; then
    _files
    return
  fi
  for line in $lines; do
    value=\${line%%$'\\t'*}
    about=\${line#*$'\\t'}
    described+=("\${value//:/\\\\:}\${about:+:$about}")
  done
  (( $#described )) && _describe -V 'mcpctl' described
}
if [[ $funcstack[1] == _mcpctl ]]; then
  _mcpctl "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
  compdef _mcpctl mcpctl
fi
`;

const fish = `# fish completion for mcpctl. Load it with: mcpctl completion fish | source
function __mcpctl_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -e words[1]
    set -l lines (mcpctl __complete fish -- $words "$current" 2>/dev/null)
    if test "$lines[1]" = :files
        __fish_complete_path "$current"
    else
        string join -- \\n $lines
    end
end
complete -c mcpctl -e
complete -c mcpctl -f -a '(__mcpctl_complete)'
`;

export const scripts = { bash, zsh, fish } as const;
