# shellcheck shell=bash
# The gcloud commands of launch/tpu_vm.sh, which sources this and sets $name,
# $project, $zone, $accelerator and so on. A failed step returns its code.
# shellcheck disable=SC2154,SC2034

# 1 once there was a VM, or a request for one, to go on with.
requested=0

# https://cloud.google.com/sdk/gcloud/reference/compute/tpus/queued-resources
requests() {
  local verb=$1
  shift
  execute gcloud compute tpus queued-resources "$verb" "$name" \
    --project="$project" --zone="$zone" "$@"
}

# A request is WAITING_FOR_RESOURCES … ACTIVE, FAILED, SUSPENDING, SUSPENDED; a
# VM is CREATING, READY, PREEMPTED, …; what gcloud does not find is ''.
state_of() {
  gcloud compute tpus "$1" describe "$name" \
    --project="$project" --zone="$zone" --format="value($2)" 2>/dev/null || true
}
request_state() {
  ((dry_run)) || state_of queued-resources state.state
}
vm_state() {
  state_of tpu-vm state
}

create() {
  if [[ ! $nfs ]]; then
    create_disk || return
  fi
  case $(request_state) in
    '') request || return ;;
    FAILED | SUSPENDED) renew || return ;;
    ACTIVE)
      case $(vm_state) in
        PREEMPTED | TERMINATED | STOPPED) renew || return ;;
      esac
      ;;
  esac
  requested=1
  wait_for_vm
}

create_disk() {
  local disk=("$name-disk" --project="$project" --zone="$zone")
  if ((dry_run)); then
    echo '# Unless it is there:'
  fi
  if ((dry_run)) ||
    ! gcloud compute disks describe "${disk[@]}" >/dev/null 2>&1; then
    execute gcloud compute disks create "${disk[@]}" \
      --type="$disk_type" --size="${disk_gb}GB"
  fi
}

# https://cloud.google.com/tpu/docs/queued-resources
# https://cloud.google.com/tpu/docs/spot
request() {
  local options=(--node-id="$name" --accelerator-type="$accelerator")
  options+=(--runtime-version="$runtime" --valid-until-duration="$wait")
  if [[ ! $nfs ]]; then
    local source=projects/$project/zones/$zone/disks/$name-disk
    options+=(--data-disk="source=$source,mode=read-write")
  fi
  if ((spot)); then
    options+=(--spot)
  fi
  requests create "${options[@]}"
}

renew() {
  delete && request
}

wait_for_vm() {
  local state
  if ((dry_run)); then
    echo '# Until that is ACTIVE:'
    requests describe --format='value(state.state)'
    return
  fi
  while true; do
    state=$(request_state)
    case $state in
      ACTIVE) return 0 ;;
      '' | FAILED | SUSPENDED)
        note "the request for $name ended, state '$state'"
        return 1
        ;;
    esac
    note "the request for $name is $state; looking again in $pause s"
    sleep "$pause"
  done
}

# Runs a line of shell on every worker; a single VM is its only worker. A VM that
# vanishes says no goodbye, so ssh has to ask whether it is still there.
# https://cloud.google.com/sdk/gcloud/reference/compute/tpus/tpu-vm/ssh
on_workers() {
  local alive='-o ServerAliveInterval=30 -o ServerAliveCountMax=4'
  execute gcloud compute tpus tpu-vm ssh "$name" --project="$project" \
    --zone="$zone" --worker=all --quiet \
    --ssh-flag="$alive -o ConnectTimeout=20" --command="$1"
}

# After a lost connection gcloud itself tries again, while the first run may not
# have noticed yet. Two cannot share a TPU, so the second waits for the first.
lock='exec 9>~/dbflax.lock && flock 9'

install() {
  local archive="${TMPDIR:-/tmp}/dbflax-$name.tar.gz" files prepare
  files='git ls-files -z --cached --others --exclude-standard'
  prepare="$lock && rm -rf dbflax && mkdir dbflax"
  prepare+=' && tar -xzf dbflax.tar.gz -C dbflax'
  prepare+=" && dbflax/launch/mount_disk.sh${nfs:+ --nfs=$nfs}"
  prepare+=' && mkdir -p disk/runs && ln -s ../disk/runs dbflax/runs'
  # The VM's own Python is 3.10.
  prepare+=' && dbflax/launch/local.sh install --device=tpu --python=uv'
  execute_line "$files | tar --null -T - -czf $(quoted "$archive")" &&
    copy "$archive" "$name:dbflax.tar.gz" --worker=all &&
    execute rm "$archive" &&
    on_workers "$prepare"
}

run() {
  local command="$lock && cd dbflax && HF_HOME=~/disk/huggingface"
  command+=' JAX_COMPILATION_CACHE_DIR=~/disk/xla launch/local.sh run'
  command+=" --device=tpu -- $(quoted "${flags[@]}")"
  if [[ $join == yes ]]; then
    # JAX asks the slice who the others are.
    command+=' --config.hosts.join=yes'
  fi
  on_workers "$command"
}

fetch() {
  copy "$name:disk/runs" . --recurse --worker=0
}

# https://cloud.google.com/sdk/gcloud/reference/compute/tpus/tpu-vm/scp
copy() {
  execute gcloud compute tpus tpu-vm scp "$@" --project="$project" \
    --zone="$zone" --quiet
}

delete() {
  requests delete --force --quiet
}

delete_disk() {
  execute gcloud compute disks delete "$name-disk" --project="$project" \
    --zone="$zone" --quiet
}
