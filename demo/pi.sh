# What `make demo-pi` runs in the guest: shows the commands on stderr, writes the
# samples of the step to stdout.
set -e

show() {
	echo "# $*" >&2
	"$@" >&2
}

show insmod rtshm.ko print=0
show rtshm create pi --period 1ms --depth 4096 --record-bytes 32 \
	--layout "setpoint:i32 kp:i32 ki:i32 output:i32 error:i32 drive:i32"
show insmod kmod/examples/pi/rtshm_pi.ko
show python3 client/examples/pi.py /tmp/step.npz
show rtshm show pi
show rmmod rtshm_pi rtshm
cat /tmp/step.npz
