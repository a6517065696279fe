#!/usr/bin/env bash
# Rents a Cloud TPU VM, runs dbflax on it and brings the results back.
#
#   launch/tpu_vm.sh all --name=rex --project=my-project --zone=us-central2-b \
#     --accelerator=v4-8 --spot -- --config=configs/dog.py:if_m \
#     --config.name=rex --config.subject.photos=photos/rex
#   launch/tpu_vm.sh all --dry_run …        what that would do, command by command
#
# Actions:
#   all          create, install, run, fetch, delete. If the VM is pre-empted,
#                another one is created and the same command goes on
#   create       a disk and a VM, unless they are there; waits in the queue
#   install      copies this checkout (all that git does not ignore, so your
#                photos too) to every worker and installs it there
#   run          the dbflax command behind --, on every worker
#   fetch        copies the disk's runs/ into this checkout
#   delete       deletes the VM; the disk and all runs on it stay, and cost
#   delete_disk  deletes the disk
#
# Options, and the environment variables that stand in for them:
#   --name=NAME         of the VM (TPU_NAME)
#   --project=PROJECT   (PROJECT_ID)
#   --zone=ZONE         (ZONE)
#   --accelerator=TYPE  such as v4-8, v5litepod-8, v5p-8, v6e-8
#                       (ACCELERATOR_TYPE)
#   --runtime=VERSION   default: the one for that TPU (RUNTIME_VERSION)
#   --spot              cheap, and may be pre-empted at any time
#   --disk_gb=N         size of the disk when it is created; default: 200
#   --wait=DURATION     how long to queue; default: 24h
#   --retries=N         how often to go on after a pre-emption or a lost
#                       connection; default: 10
#   --pause=SECONDS     before that, and between looks at the queue; default: 60
#   --nfs=SERVER:/PATH  a share in the disk's place; several hosts need one
#   --dry_run           print the commands, run none
#   --help              print this
#
# What survives a pre-emption is the disk NAME-disk, at ~/disk of the VM: runs/
# with every checkpoint, downloaded weights, compiled programs. Finished steps
# are skipped then, and training loses the steps since its last checkpoint
# (--config.stage_1.checkpoint_every). All else on the VM is lost; a --workdir
# must lie in runs/, or, with one host, at gs://.
#
# `all` ends when its terminal does (use tmux); the same command goes on. What
# fails for another reason than a lost VM is not tried again, and the VM stays.
#
# DeepFloyd IF needs a login, which the disk keeps. After create and install:
#   gcloud compute tpus tpu-vm ssh NAME --project=PROJECT --zone=ZONE
#   HF_HOME=~/disk/huggingface dbflax/.venv/bin/hf auth login     (on the VM)
#
# No TPU was at hand: gcloud's own parser (528) has read these commands, and a
# cloud made of files has run them (tests/launch).
#
# Several hosts (v4-16, v5litepod-16, … and more) divide one run. They have to see
# the same runs/, and only one host can write a disk: make a Filestore share (any
# NFS server there will do) and name it by --nfs. Nothing here deletes it.
set -euo pipefail

# shellcheck source=launch/execute.sh
source "$(dirname "${BASH_SOURCE[0]}")/execute.sh"
# shellcheck source=launch/gcloud_tpu.sh
source "$checkout/launch/gcloud_tpu.sh"

action='' name=${TPU_NAME:-} project=${PROJECT_ID:-} zone=${ZONE:-}
accelerator=${ACCELERATOR_TYPE:-} runtime=${RUNTIME_VERSION:-} spot=0
disk_gb=200 wait=24h retries=10 pause=60 nfs='' join=auto
flags=()
while (($#)); do
  case $1 in
    --name=*) name=${1#*=} ;;
    --project=*) project=${1#*=} ;;
    --zone=*) zone=${1#*=} ;;
    --accelerator=*) accelerator=${1#*=} ;;
    --runtime=*) runtime=${1#*=} ;;
    --disk_gb=*) disk_gb=${1#*=} ;;
    --wait=*) wait=${1#*=} ;;
    --retries=*) retries=${1#*=} ;;
    --pause=*) pause=${1#*=} ;;
    --spot) spot=1 ;;
    --nfs=*) nfs=${1#*=} ;;
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

# What dbflax would refuse on the VM, or lose with it.
check_flags() {
  local flag
  need_dbflax_flags "${flags[@]+"${flags[@]}"}"
  for flag in "${flags[@]}"; do
    case $flag in
      --workdir=runs/?* | --workdir=gs://?*) ;;
      --workdir*)
        die "'$flag' is lost with the VM; write it like --workdir=runs/$name"
        ;;
      *=/* | *=~* | *=../*)
        die "'$flag' is not on the VM; give a path inside $checkout," \
          'which is copied there'
        ;;
    esac
  done
}

# Sets what depends on the generation of TPU.
# https://cloud.google.com/tpu/docs/runtimes
# https://cloud.google.com/tpu/docs/attach-durable-block-storage
check_accelerator() {
  need accelerator "$accelerator" \
    '^(v2|v3|v4|v5litepod|v5p|v6e)-[1-9][0-9]*$' 'v4-8 or v5litepod-8'
  disk_type=pd-balanced
  case $accelerator in
    v5litepod-*) runtime=${runtime:-v2-alpha-tpuv5-lite} ;;
    v5p-*) runtime=${runtime:-v2-alpha-tpuv5} ;;
    v6e-*) runtime=${runtime:-v2-alpha-tpuv6e} disk_type=hyperdisk-balanced ;;
    *) runtime=${runtime:-tpu-ubuntu2204-base} ;;
  esac
  # 8 cores (v2 to v4, v5p) or 8 chips (v5e, v6e) are one host.
  if ((${accelerator##*-} > 8)); then
    [[ $nfs ]] || die "--accelerator='$accelerator' has several hosts; give a" \
      "share for them, --nfs=SERVER:/PATH, or take ${accelerator%-*}-8"
    join=yes
  fi
}

# Ends here what trying again would not mend.
stop() {
  note "$2; the VM costs while it is there: the same command goes on, and" \
    "'$0 delete --name=$name --project=$project --zone=$zone' deletes it"
  exit "$1"
}

# Creates, installs and runs until dbflax has finished.
persist() {
  local retry code state
  for ((retry = 0; ; retry++)); do
    code=0
    create || code=255
    ((requested)) || exit 1
    if ((code == 0)); then
      { install && run; } || code=$?
    fi
    ((code)) || return 0
    state=$(vm_state)
    # Above 128, the connection was lost or the run was killed: the end of a VM
    # begins so, and its state comes late.
    if [[ $state == READY ]] && ((code <= 128)); then
      stop "$code" "exit code $code"
    fi
    ((retry < retries)) || stop "$code" "gave up after $retries retries"
    note "lost $name (exit code $code, state '$state'); again in $pause s" \
      "(retry $((retry + 1)) of $retries)"
    sleep "$pause"
  done
}

case $action in
  all | run) check_flags ;;
  create | install | fetch | delete | delete_disk) ;;
  *) die "action '$action' is none of all, create, install, run, fetch," \
    'delete, delete_disk (--help explains them)' ;;
esac
need name "$name" '^[a-z]([a-z0-9-]{0,50}[a-z0-9])?$' rex
need project "$project" '^[a-z][a-z0-9.:-]+$' my-project
need zone "$zone" '^[a-z]+-[a-z]+[0-9]+-[a-z]$' us-central2-b
[[ ! $nfs ]] || need nfs "$nfs" '^[A-Za-z0-9.-]+:/[A-Za-z0-9_./-]*$' \
  10.0.0.2:/share
need wait "$wait" '^[1-9][0-9]*[smhd]$' 24h
need disk_gb "$disk_gb" '^[1-9][0-9]*$' 200
need retries "$retries" '^[0-9]+$' 10
need pause "$pause" '^[0-9]+$' 60
case $action in all | create | install | run) check_accelerator ;; esac

if ((dry_run)); then
  quoted cd "$checkout"
elif ! command -v gcloud >/dev/null; then
  die 'no gcloud here; install it: https://cloud.google.com/sdk/docs/install'
fi
cd "$checkout"
if [[ $action == all ]]; then
  trap 'stop 130 stopped' INT
  persist
  if ((dry_run)); then
    echo "# If the VM is lost before: all of that again, at most $retries times."
  fi
  fetch || stop $? 'could not fetch the results'
  delete || stop $? 'could not delete the VM'
else
  "$action"
fi
if [[ $action =~ ^(all|delete)$ && ! $nfs ]]; then
  note "the disk $name-disk stays, and costs; delete_disk deletes it"
fi
