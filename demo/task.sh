# What `make demo-task` runs in the guest: shows the commands on stderr, writes the
# samples of the step to stdout. The guest has no clang: the program comes compiled.
set -e

show() {
	echo "# $*" >&2
	"$@" >&2
}

show insmod rtshm.ko print=0
show rtshm create pi --period 1ms --depth 4096 --record-bytes 32 \
	--layout "setpoint:i32 kp:i32 ki:i32 output:i32 error:i32 drive:i32"
show python3 client/examples/pi.py --task client/examples/pi.bpf.o /tmp/step.npz
show rtshm task add pi client/examples/pi.bpf.o
show rtshm task list
show rtshm task remove pi pi
show rmmod rtshm
cat /tmp/step.npz
