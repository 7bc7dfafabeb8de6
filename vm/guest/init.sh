#!/bin/busybox sh
# First program of the guest: from the initramfs to the disk, then run.sh.
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

# User-mode Linux has serial lines for the ports and another name for disks: um.py.
if [ -e /dev/ubda ]; then
	busybox ln -s ubda /dev/vda
	busybox ln -s ubdb /dev/vdb
	for line in 0 1 2 3 4; do
		busybox stty -F /dev/ttyS$line raw -echo
		busybox ln -s ttyS$line /dev/vport0p$((line + 1))
	done
fi

# The ports come one after the other, some time after the driver, each node a moment
# before it can be opened; the last one is opened by terminal.py only.
until [ -e /dev/vport0p5 ]; do
	busybox sleep 0.01
done

# The ports are the fixed ones of qemu.py: 1 status, 2 kernel log, 3 stdout, 4 stderr,
# 5 terminal.
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
# Nothing was written to the disk so far, nor read of the job: that is for the host to
# begin, by `go`, the job's bytes and the time. On `warm` it will first make a snapshot of
# this guest, and begin each run with that; then a new seed follows the time.
{
	echo ready
	while read -r word bytes now seed && [ "$word" = warm ]; do
		cp -R /warm /root/run/warm
		mkfifo /root/run/warm/seed /root/run/warm/seeded /root/run/warm/client
		{
			LC_ALL=C.UTF-8 chroot /root /usr/bin/python3 /run/warm/interpreter.py </dev/null 2>&1 ||
				echo gone >/root/run/warm/seeded
		} | cat >/dev/console &
		read -r interpreter </root/run/warm/seeded
		[ "$interpreter" = imported ]
		echo ready
	done
	echo awake
} <>/dev/vport0p1 >&0
if [ -n "$seed" ]; then
	echo "$seed" >/root/run/warm/seed
	read -r interpreter </root/run/warm/seeded
	[ "$interpreter" = seeded ]
	date -s "@$now" >/dev/null
fi
mount -o remount,rw,noatime /dev/vda /root
# The archive is the head of the disk; tar would read all of it.
head -c "$bytes" /dev/vdb | tar -x -C /root
mkfifo /root/run/vm/out /root/run/vm/err
exec switch_root /root /bin/sh /run/vm/run.sh
