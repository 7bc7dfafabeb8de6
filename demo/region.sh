# What the demonstrations of the PI controller begin with in the guest: show() runs a
# command and shows it on stderr; the module and the region `pi` are there.
set -e

show() {
	echo "# $*" >&2
	"$@" >&2
}

show insmod rtshm.ko print=0
show rtshm create pi --period 1ms --depth 4096 --record-bytes 32 \
	--layout "setpoint:i32 kp:i32 ki:i32 output:i32 error:i32 drive:i32"
