# What `make demo-pi` runs in the guest: shows the commands on stderr, writes the
# samples of the step to stdout.
. demo/region.sh
show insmod kmod/examples/pi/rtshm_pi.ko
show python3 client/examples/pi.py /tmp/step.npz
show rtshm show pi
show rmmod rtshm_pi rtshm
cat /tmp/step.npz
