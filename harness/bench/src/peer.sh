#!/bin/sh
# The same cells as a careful engineer would script them: QEMU and busybox, one boot
# per kernel with all images attached, as many machines at once as there are cores.
#
#   KERNELS   a file: id, image, initramfs and words of a kernel per line, by tabs
#   DISKS     the images' file systems, by spaces, in the order of their devices
#   QEMU      the command that starts QEMU, up to its own options
#   JOBS      machines at once
#
# What a guest says in lines that begin with CELL is the result.
set -eu

boot() {
    id=$1 image=$2 initramfs=$3 words=$4
    drives=
    for disk in $DISKS; do
        drives="$drives -drive file=$disk,format=raw,if=virtio,readonly=on"
    done
    # shellcheck disable=SC2086
    timeout 300 $QEMU -nodefaults -display none -no-reboot -accel tcg -cpu max -m 1024 -smp 1 \
        -machine pc -serial stdio $drives -device virtio-rng-pci \
        -kernel "$image" -initrd "$initramfs" \
        -append "console=ttyS0 quiet panic=-1 random.trust_cpu=on $words" </dev/null |
        tr -d '\r' | grep '^CELL' | sed "s|^CELL|CELL $id|"
}

if [ "${1:-}" = boot ]; then
    shift
    boot "$@"
    exit
fi
export DISKS QEMU
tr '\t' '\n' <"$KERNELS" | tr '\n' '\0' | xargs -0 -n 4 -P "$JOBS" sh "$0" boot
