# What `make demo` runs in the guest. __main__.py shows the kernel's lines between these.
set -e

show() {
	echo "# $*"
	"$@"
}

# Wait until the log has the value.
printed() {
	timeout 20 grep -q -m1 "rtshm: default: shared mem=$1\$" /dev/kmsg || {
		echo "the kernel did not print $1 within 20 s" >&2
		exit 1
	}
}

show insmod rtshm.ko
printed 0
show rtshm write 42
printed 42
show rtshm write 7
printed 7
show rmmod rtshm
