# What the demonstrations of the PI controller begin with in the guest: show() runs a
# command and shows it on stderr; the module and the region `pi` are there.
set -e

show() {
	echo "# $*" >&2
	"$@" >&2
}

show insmod rtshm.ko print=0
show rtshm create pi --period 1ms --history 4096 \
	--layout "setpoint:q16 kp:q16 ki:q16 output:q16 error:q16 drive:q16"
