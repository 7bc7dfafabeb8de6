# Second program of the guest, on its disk: runs the job of /run/vm, which
# checkout.py wrote, and reports its end.
export PATH=/run/vm/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# A program named by init= on the kernel's command line becomes process 1; the job is its child.
init=$(busybox sed -n 's/\(^\|.* \)init=\([^ ]*\).*/\2/p' /proc/cmdline)
if [ -n "$init" ] && [ $$ = 1 ]; then
	sh /run/vm/run.sh &
	exec "$init"
fi
export HOME=/root USER=root LOGNAME=root SHELL=/bin/sh TERM=dumb LC_ALL=C.UTF-8
echo vm >/proc/sys/kernel/hostname
busybox ip link set lo up
# A kernel with debugging may be here before its timers have high resolution. With
# highres=off they never have.
tries=0
until busybox grep -q 'resolution: 1 nsecs' /proc/timer_list ||
	busybox grep -qw highres=off /proc/cmdline || [ $tries = 200 ]; do
	busybox sleep 0.05
	tries=$((tries + 1))
done
. /run/vm/env

# See interpreter.py.
[ ! -e /run/warm/client ] || echo "$VM_IMPORTS:$PYTHONPATH" >/run/warm/client

# What is built of the checkout comes behind it on the disk, when the host has it.
{
	echo unbuilt
	read -r word skip count
} <>/dev/vport0p1 >&0
if [ "$word" != built ] ||
	! busybox dd if=/dev/vdb of=/run/vm/built bs=10240 skip="$skip" count="$count" 2>/dev/null ||
	! busybox tar -x -C / -f /run/vm/built; then
	echo "vm: what was built for the checkout did not come" >/dev/kmsg
	exec busybox poweroff -f
fi
rm /run/vm/built

# Where time counts instructions, nothing but the command is to be seen in it: to write
# these files back later takes up to 1.3 ms at a time with interrupts off.
[ "$VM_ACCELERATOR" != icount ] || busybox sync

# The command gets pipes, as from any shell: a port can be opened only once, so
# that `echo >/dev/stderr` would fail on it.
busybox cat /run/vm/out >/dev/vport0p3 &
out=$!
busybox cat /run/vm/err >/dev/vport0p4 &
err=$!
echo run >/dev/vport0p1
(
	cd "$VM_CHECKOUT" && exec sh /run/vm/command
) </dev/null >/run/vm/out 2>/run/vm/err
status=$?

# Processes that the command left in the background may hold its pipes open for ever. After
# this time the reader has had all that was written; on a busy machine that takes its time.
(
	busybox sleep 2
	tries=0
	until [ "$(busybox grep -c pipe_read /proc/$out/wchan /proc/$err/wchan | busybox grep -c :1)" = 2 ] ||
		[ $tries = 60 ]; do
		busybox sleep 0.5
		tries=$((tries + 1))
	done
	kill "$out" "$err"
) 2>/dev/null &
wait "$out" "$err"
# The host has the whole log when it has this line.
echo "vm: end" >/dev/kmsg
echo "exit $status" >/dev/vport0p1
# The host switches the machine off.
while :; do busybox sleep 1000; done
