#!/bin/busybox sh
# First program of the guest: from the initramfs to the disk, then guest.sh.
#
# Under emulation each program started costs 15 ms, and 60 ms or more if it is
# dynamically linked; so busybox does here what can be done here.
set -e
export PATH=/bin
mount -t devtmpfs none /dev
exec </dev/console >/dev/console 2>&1
for module in /modules/*.ko; do
	[ ! -e "$module" ] || insmod "$module"
done

# The ports come one after the other, some time after the driver, each node a moment
# before it can be opened; the last one is opened by guest.sh only.
until [ -e /dev/vport0p4 ]; do
	busybox sleep 0.01
done

# The ports are the fixed ones of qemu.py: 1 status, 2 kernel log, 3 stdout, 4 stderr.
# The log is copied from here on, so that a machine that is lost has left its own.
# cat ends with an error when it is overtaken; the host sees from the sequence
# numbers what is missing, and what it has already.
echo up >/dev/vport0p1
{
	exec 2>/dev/null >/dev/vport0p2
	until cat /dev/kmsg; do :; done
} &

# /etc/fstab has the disk and what is mounted on it. /run and /tmp come before the
# checkout is unpacked, which may lie there.
mount -a
mkdir /root/dev/pts /root/dev/shm
mount -t devpts -o mode=620,ptmxmode=666 none /root/dev/pts
mount -t tmpfs -o mode=1777 none /root/dev/shm
# The archive is the disk: tar stops at its end mark.
tar -x -C /root -f /dev/vdb
mkfifo /root/run/vm/out /root/run/vm/err
read -r script </root/run/vm/guest
exec switch_root /root /bin/sh "$script"
