# What `make demo-task` runs in the guest: shows the commands on stderr, writes the
# samples of the step to stdout. The guest has no clang: the program comes compiled.
. demo/region.sh
echo "(pi.bpf.o: client/examples/pi.bpf.c, compiled by clang outside of the guest)" >&2
show rtshm task add pi client/examples/pi.bpf.o
show python3 client/examples/pi.py /tmp/step.npz
show rtshm task list
show rtshm task remove pi pi
show rmmod rtshm
cat /tmp/step.npz
