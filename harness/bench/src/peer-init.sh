#!/bin/busybox sh
# The first process of the script's guests: modules, file systems, and each cell in a
# chroot with a writable layer of its own.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module"; done </modules/list
mount -t tmpfs tmpfs /run
index=0
for letter in a b c d e f g h i j k l m n o p; do
    [ -b "/dev/vd$letter" ] || break
    mkdir -p "/run/image$index"
    mount -t squashfs -o ro "/dev/vd$letter" "/run/image$index"
    index=$((index + 1))
done
# Of each cell: the image's number, its name, the check, the command.
while IFS='	' read -r image name check command; do
    cell=/run/cell
    mkdir -p $cell/upper $cell/work $cell/root
    mount -t overlay -o "lowerdir=/run/image$image,upperdir=$cell/upper,workdir=$cell/work" overlay $cell/root
    mount -t proc proc $cell/root/proc
    mount -o bind /dev $cell/root/dev
    timeout 120 chroot $cell/root /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c "$command" >/run/said 2>&1
    status=$?
    echo "CELL $name $check $status"
    umount $cell/root/dev $cell/root/proc $cell/root
    rm -rf $cell
done </cells
poweroff -f
