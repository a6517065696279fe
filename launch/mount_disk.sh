#!/usr/bin/env bash
# Mounts a data disk of a Google Cloud VM, and formats it if it is blank; or
# mounts a share that several VMs have in common.
#
#   launch/mount_disk.sh
#
# launch/tpu_vm.sh runs this on the VM. A disk that holds anything, a file
# system or a partition table, is never formatted.
#
#   --device=PATH    default: /dev/disk/by-id/google-persistent-disk-1, the
#                    first disk behind the boot disk
#   --nfs=SERVER:/PATH  such a share, instead of a disk
#   --folder=FOLDER  where to mount it; default: ~/disk
#   --dry_run        print the commands, run none
#   --help           print this
#
# https://cloud.google.com/tpu/docs/attach-durable-block-storage
set -euo pipefail

# shellcheck source=launch/execute.sh
source "$(dirname "${BASH_SOURCE[0]}")/execute.sh"

device=/dev/disk/by-id/google-persistent-disk-1
folder=$HOME/disk
nfs=''
for argument in "$@"; do
  case $argument in
    --device=*) device=${argument#*=} ;;
    --nfs=*) nfs=${argument#*=} ;;
    --folder=*) folder=${argument#*=} ;;
    --dry_run) dry_run=1 ;;
    --help | -h) print_help && exit ;;
    *) die_option "$argument" ;;
  esac
done

# blkid's 2 says that it found nothing on the disk; anything else is no reason
# to format it.
is_blank() {
  local code=0
  sudo blkid --probe "$device" >&2 || code=$?
  ((code == 2))
}

# https://cloud.google.com/filestore/docs/mounting-fileshares
mount_share() {
  if ((!dry_run)) && mountpoint -q "$folder"; then
    note "$folder is mounted"
    return
  fi
  if ((dry_run)) || ! command -v mount.nfs >/dev/null; then
    execute sudo apt-get install --yes nfs-common
  fi
  execute mkdir -p "$folder"
  execute sudo mount -t nfs -o hard "$nfs" "$folder"
  # Of the share itself, not of all in it: another VM may be writing there.
  execute sudo chmod 1777 "$folder"
}

if [[ $nfs ]]; then
  mount_share
  exit
fi
if ((!dry_run)); then
  lsblk "$device" >/dev/null 2>&1 ||
    die "no disk at '$device'; --device=PATH names another (see lsblk)"
  if mountpoint -q "$folder"; then
    note "$folder is mounted"
    exit
  fi
fi
if ((dry_run)); then
  echo '# Only a disk that is blank:'
fi
if ((dry_run)) || is_blank; then
  execute sudo mkfs.ext4 -m 0 "$device"
fi
execute mkdir -p "$folder"
execute sudo mount -o discard,defaults "$device" "$folder"
# Another VM may give the same user another number.
execute sudo chown -R "$(id -un)" "$folder"
