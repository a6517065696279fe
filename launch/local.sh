#!/usr/bin/env bash
# Installs dbflax on this machine (a laptop, a GPU, a TPU VM) and runs it.
#
#   launch/local.sh all -- --config=configs/dog.py
#   launch/local.sh all --device=gpu -- --config=configs/dog.py --mode=train
#   launch/local.sh run --retries=3 -- --config=configs/dog.py
#
# Actions:
#   install  a virtual environment with dbflax and JAX for the device
#   run      the dbflax command behind --
#   all      both
#
# Options:
#   --device=DEVICE  cpu, gpu or tpu; default: gpu if there is nvidia-smi, tpu if
#                    there is /dev/accel0 or /dev/vfio/0, else cpu
#   --venv=FOLDER    the virtual environment; default: .venv in this checkout
#   --python=PYTHON  3.11 or newer; default: python3. 'uv' fetches Python 3.12
#                    by https://docs.astral.sh/uv, and uv too if it is missing
#   --retries=N      run again, at most N times, what ended with another code
#                    than 0, 2 (bad input), 130 or 143 (asked to stop);
#                    default: 0. A run goes on from its last checkpoint
#   --pause=SECONDS  before each of them; default: 10
#   --dry_run        print the commands, run none
#   --help           print this
#
# Relative paths start at this checkout.
# A machine that was pre-empted and restarted needs the same command again:
# what lies in runs/ is kept, and finished steps are skipped.
set -euo pipefail

# shellcheck source=launch/execute.sh
source "$(dirname "${BASH_SOURCE[0]}")/execute.sh"

action='' device='' venv=.venv python=python3 retries=0 pause=10
flags=()
while (($#)); do
  case $1 in
    --device=*) device=${1#*=} ;;
    --venv=*) venv=${1#*=} ;;
    --python=*) python=${1#*=} ;;
    --retries=*) retries=${1#*=} ;;
    --pause=*) pause=${1#*=} ;;
    --dry_run) dry_run=1 ;;
    --help | -h) print_help && exit ;;
    --) shift && flags=("$@") && break ;;
    -*) die_option "$1" ;;
    *)
      [[ -z $action ]] || die "two actions, '$action' and '$1'; give one"
      action=$1
      ;;
  esac
  shift
done

find_device() {
  if command -v nvidia-smi >/dev/null; then
    echo gpu
  elif [[ -e /dev/accel0 || -e /dev/vfio/0 ]]; then
    echo tpu
  else
    echo cpu
  fi
}

need_python() {
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    die "--python='$python' is not Python 3.11 or newer; name one that is," \
      'or let --python=uv fetch it'
}

install_by_uv() {
  local uv
  uv=$(command -v uv || echo "$HOME/.local/bin/uv")
  if [[ ! -x $uv ]]; then
    execute_line 'curl -LsSf https://astral.sh/uv/install.sh | sh'
  fi
  execute "$uv" venv --allow-existing --python 3.12 "$venv"
  execute "$uv" pip install --python "$venv" "$1"
}

install() {
  local package=. backend
  case $device in
    gpu) package='.[cuda]' ;;
    tpu) package='.[tpu,gcs]' ;;
  esac
  note "installing for $device (--device=cpu, gpu or tpu for another)"
  if [[ $python == uv ]]; then
    install_by_uv "$package"
  else
    ((dry_run)) || need_python
    execute "$python" -m venv "$venv"
    execute "$venv/bin/pip" install "$package"
  fi
  # JAX without its device computes on the CPU and goes on.
  backend="import jax; found = jax.default_backend(); found == '$device' or "
  backend+="exit(f'JAX runs on {found}, not on $device')"
  execute "$venv/bin/python" -c "$backend"
}

run() {
  local attempt code
  for ((attempt = 1; ; attempt++)); do
    code=0
    execute "$venv/bin/python" -m dbflax.main "${flags[@]}" || code=$?
    case $code in 0 | 2 | 130 | 143) return $code ;; esac
    ((attempt <= retries)) || return $code
    note "exit code $code; again in $pause s (retry $attempt of $retries)"
    sleep "$pause"
  done
}

case $action in
  install) ;;
  run | all) need_dbflax_flags "${flags[@]+"${flags[@]}"}" ;;
  '') die 'no action; give install, run or all (--help explains them)' ;;
  *) die "unknown action '$action'; give install, run or all" ;;
esac
device=${device:-$(find_device)}
need device "$device" '^(cpu|gpu|tpu)$' gpu
need retries "$retries" '^[0-9]+$' 3
need pause "$pause" '^[0-9]+$' 10

if ((dry_run)); then
  quoted cd "$checkout"
fi
cd "$checkout"
[[ $action == run ]] || install
[[ $action == install ]] || run
