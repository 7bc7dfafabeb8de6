# For a project's Makefile: `make vm CMD='uname -a'` runs a command in the guest.

# As typed: make would expand the dollars in it.
export VM_CMD := $(value CMD)
unexport CMD
export KERNEL ICOUNT COLD DEADLINE GDB PACKAGES

.PHONY: vm
vm:
	@vm/run
