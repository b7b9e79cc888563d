# Sourced by the recipe's scripts: turns "--some-option value" into the shell variable some_option=value.
# shellcheck shell=bash disable=SC2154 # help_message is a variable of the script
#
# The script sets its defaults first; an option without such a variable is an error. A variable whose default is true or
# false accepts nothing else. --config FILE is sourced before the command line is read, so the command line wins.
# The number of jobs, nj, and the way to run them, cmd, are checked here, before a script changes anything.
# --help prints $help_message. What is left in "$@" are the positional arguments, whose number the script checks.

# usage_error: the help text and an exit, for a wrong number of arguments.
usage_error() {
  echo "$help_message" >&2
  exit 1
}

_options_fail() {
  echo "$0: $1" >&2
  exit 1
}

for ((_arg = 1; _arg < $#; _arg++)); do
  if [ "${!_arg}" = --config ]; then
    _next=$((_arg + 1))
    [ -r "${!_next}" ] || _options_fail "cannot read the file of --config '${!_next}'"
    # shellcheck source=/dev/null
    . "${!_next}"
  fi
done

while [ $# -gt 0 ]; do
  case $1 in
    --help | -h)
      echo "${help_message:-$0 has no help text; see the comment at its top}"
      exit 0
      ;;
    --config) shift 2 ;;
    --*=*) _options_fail "write '$1' with a space: ${1%%=*} ${1#*=}" ;;
    --?*)
      _name=${1#--}
      _name=${_name//-/_}
      if ! [[ $_name =~ ^[a-zA-Z_][a-zA-Z0-9_]*$ ]] || [ -z "${!_name+set}" ]; then
        _options_fail "unknown option $1 (see $0 --help)"
      fi
      [ $# -ge 2 ] || _options_fail "option $1 needs a value"
      if [[ ${!_name} == true || ${!_name} == false ]] && [[ $2 != true && $2 != false ]]; then
        _options_fail "option $1 takes true or false, not '$2'"
      fi
      printf -v "$_name" '%s' "$2"
      shift 2
      ;;
    *) break ;;
  esac
done

if [ -n "${cmd+set}" ] && ! command -v "${cmd%% *}" >/dev/null; then
  _options_fail "option --cmd: there is no program '${cmd%% *}'"
fi
if [ -n "${nj+set}" ] && ! [[ $nj =~ ^[1-9][0-9]*$ ]]; then
  _options_fail "option --nj takes a number from 1 on, not '$nj'"
fi
unset _arg _next _name
