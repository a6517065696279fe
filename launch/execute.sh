# shellcheck shell=bash
# What the scripts beside it share: commands that are run or, in a dry run,
# printed, and errors of one line. It is sourced. All of launch/ keeps to what
# bash 3.2 knows, for macOS.

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# 1: print every command, run none.
dry_run=0

# The comment at the top of a script is its --help.
print_help() {
  sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$checkout/launch/$(basename "$0")"
}

note() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
}

# For what the user can mend: one line, exit code 2.
die() {
  note "$@"
  exit 2
}

die_option() {
  die "unknown option '$1'; values go behind =, and --help lists all options"
}

# need OPTION VALUE PATTERN EXAMPLE
need() {
  [[ $2 =~ $3 ]] || die "--$1='$2' is not understood; write it like --$1=$4"
}

# The words as one line that can be pasted into a shell.
quoted() {
  local word option line='' single="'\\''"
  for word in "$@"; do
    case $word in
      '' | *[!A-Za-z0-9_./:=,@%+-]*)
        option=''
        if [[ $word =~ ^--[a-z0-9_.-]+= ]]; then
          option=${BASH_REMATCH[0]}
        fi
        word=${word:${#option}}
        word="$option'${word//\'/$single}'"
        ;;
    esac
    line+=" $word"
  done
  printf '%s\n' "${line# }"
}

# Runs a command; a dry run prints it.
execute() {
  if ((dry_run)); then
    quoted "$@"
  else
    printf '+ %s\n' "$(quoted "$@")" >&2
    "$@"
  fi
}

# The same for a line of shell, such as a pipeline.
execute_line() {
  if ((dry_run)); then
    printf '%s\n' "$1"
  else
    printf '+ %s\n' "$1" >&2
    bash -euo pipefail -c "$1"
  fi
}

# The flags behind `--`, before anything is installed or rented for them.
need_dbflax_flags() {
  local flag config='' hint="put dbflax's flags behind --, such as"
  hint+=' -- --config=configs/dog.py'
  for flag in "$@"; do
    case $flag in --config=*) config=${flag#--config=} ;; esac
  done
  [[ -n $config ]] || die "no --config to run; $hint"
  (cd "$checkout" && [[ -f ${config%%:*} ]]) ||
    die "no config file '${config%%:*}' in $checkout; $hint"
}
