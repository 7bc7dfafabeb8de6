# make help says what there is.

KDIR ?= /lib/modules/$(shell uname -r)/build
PREFIX ?= /usr/local
DKMS ?= dkms
VERSION := $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
# Where DKMS looks for the sources of a module.
DKMS_SOURCE := /usr/src/rtshm-$(VERSION)
DKMS_FILES := dkms.conf Kbuild $(wildcard $(addprefix kmod/,*.[ch] include/*.h \
	include/uapi/linux/*.h netlink/*.yaml examples/*/*.[ch] examples/*/Kbuild examples/*/Makefile))
VENV := .venv
PYTHON := $(VENV)/bin/python
SCRIPTS := vm tools tests demo $(wildcard bench docs/*.py)
SHELL_SCRIPTS := .ci/run .ci/kvm vm/run $(wildcard vm/*.sh vm/*/*.sh tools/*.sh demo/*.sh \
	tests/vagrant/*.sh vagrant/*.sh)
SETUP := vm/setup.sh tools/requires.sh

# As typed, like CMD of vm/vm.mk.
export T := $(value T)

.PHONY: all install install-dkms install-module install-files uninstall demo demo-pi demo-task
.PHONY: test test-host test-vm test-all test-here test-vagrant coverage lint ynl docs man pictures kernels bench clean distclean help
.DELETE_ON_ERROR:

all:
	$(if $(word 2,$(CURDIR)),$(error kbuild cannot build below a path with a space: $(CURDIR)))
	@if [ -d "$(KDIR)" ]; then \
		$(MAKE) -C "$(KDIR)" M="$(CURDIR)" modules; \
	else \
		echo "No headers of the running kernel: $(KDIR) is not there." >&2; \
		echo "Install them (Debian: apt-get install linux-headers-$$(uname -r))," >&2; \
		echo "or set KDIR. 'make vm' and 'make demo' need none." >&2; \
		exit 1; \
	fi

# DKMS builds the module for each kernel that is installed. Without it (or with DKMS=) it is
# built once, for the running kernel.
install: install-files $(if $(shell command -v $(DKMS)),install-dkms,install-module)
	systemd-sysusers $(PREFIX)/lib/sysusers.d/rtshm.conf
	-udevadm control --reload
	@echo "Now: modprobe rtshm, usermod -aG rtshm USER, and pip install ./client."

install-dkms:
	$(DKMS) install rtshm/$(VERSION)

install-module: install-files all
	@release=$$(cat "$(KDIR)/include/config/kernel.release") && \
	install -D -m 644 -t /lib/modules/$$release/updates rtshm.ko && \
	install -m 644 -t $(DKMS_SOURCE) Module.symvers && \
	depmod $$release && \
	echo "There is no DKMS: rtshm.ko is installed for $$release only." && \
	echo "After each new kernel: make clean, and make install again."

# Install everything but the module: the sources for DKMS, from which other modules take
# rtshm_task.h, and the headers for programs. Debian's package has these too.
install-files:
	install -d $(DESTDIR)$(DKMS_SOURCE)
	cp --parents -t $(DESTDIR)$(DKMS_SOURCE) $(DKMS_FILES)
	chmod -R u=rwX,go=rX $(DESTDIR)$(DKMS_SOURCE)
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/include/linux kmod/include/uapi/linux/*.h
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/udev/rules.d system/60-rtshm.rules
	install -D -m 644 system/sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/rtshm.conf
	install -D -m 644 system/modprobe.conf $(DESTDIR)$(PREFIX)/lib/modprobe.d/rtshm.conf
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system system/rtshm.service
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/rtshm-dkms/examples \
		system/modules-load.conf

uninstall:
	$(if $(shell command -v $(DKMS)),-$(DKMS) remove rtshm/$(VERSION) --all)
	@for module in $(wildcard /lib/modules/*/updates/rtshm.ko); do \
		echo "rm $$module" && rm $$module && \
		rmdir --ignore-fail-on-non-empty $${module%/*} && \
		depmod $$(echo $$module | cut -d/ -f4); \
	done
	rm -rf $(DKMS_SOURCE) $(PREFIX)/share/doc/rtshm-dkms
	rm -f $(addprefix $(PREFIX)/include/linux/,$(notdir $(wildcard kmod/include/uapi/linux/*.h)))
	rm -f $(PREFIX)/lib/udev/rules.d/60-rtshm.rules $(PREFIX)/lib/sysusers.d/rtshm.conf \
		$(PREFIX)/lib/modprobe.d/rtshm.conf $(PREFIX)/lib/systemd/system/rtshm.service \
		/etc/systemd/system/multi-user.target.wants/rtshm.service
	-udevadm control --reload
	@echo "The group rtshm stays (groupdel rtshm), and the module if it is loaded (rmmod rtshm)."

include vm/vm.mk

demo:
	@vm/setup.sh
	@python3 -m demo

demo-pi: $(VENV)/stamp
	@vm/setup.sh
	@ICOUNT=1 vm/run 'sh demo/pi.sh' >step.npz
	@$(PYTHON) client/examples/pi.py --from step.npz step.png
	@echo "step.png: the step and the lateness of the ticks"

demo-task: $(VENV)/stamp
	@vm/setup.sh
	@ICOUNT=1 vm/run 'sh demo/task.sh' >step.npz
	@$(PYTHON) client/examples/pi.py --from step.npz step.png
	@echo "step.png: the step and the lateness of the ticks"

# Suites in the guest, and the faults that a kernel is to catch.
OF_KERNEL := tests/boots/test_suites.py tests/boots/test_faults.py

# Blocked until the program can end by it without a traceback: vm/host/interrupt.py.
INTERRUPTIBLE := env --block-signal=INT $(PYTHON)

# Each process has one test at a time.
PYTEST := $(INTERRUPTIBLE) -m pytest -p tests.lib.schedule -n auto --dist load --maxschedchunk 1

test: $(VENV)/stamp
	@vm/setup.sh
	@$(SETUP) tools
	@$(if $(T),$(INTERRUPTIBLE) -m tests,$(PYTEST) $(if $(KERNEL),$(OF_KERNEL),-m 'not more'))

# What `make test KERNEL=...` leaves: tests/host, tools/tests, bench/tests, and the rest of tests/boots.
# MORE=1 has what `make test-all` adds to it.
test-host: $(VENV)/stamp
	@vm/setup.sh
	@$(SETUP) tools
	@$(if $(MORE),KERNEL=arm64 vm/setup.sh)
	@$(PYTEST) -m '$(if $(MORE),more,not more)' $(addprefix --ignore ,$(OF_KERNEL))

# The machine's own tests, of vm/.
test-vm: $(VENV)/stamp
	@vm/setup.sh
	@vm/setup.sh vm/tests/requires.sh tests
	@$(INTERRUPTIBLE) -m pytest vm/tests

test-all: $(VENV)/stamp
	@KERNEL=arm64 vm/setup.sh
	@$(SETUP) tools
	@$(PYTEST)

# The guest's tests on this very machine, as root: they load and unload the module.
test-here: $(VENV)/stamp all
	@for module in tests/probe kmod/examples/pi; do \
		$(MAKE) -C "$(KDIR)" M="$(CURDIR)/$$module" RTSHM="$(CURDIR)" \
			KBUILD_EXTRA_SYMBOLS="$(CURDIR)/Module.symvers" modules || exit; \
	done
	@$(PYTHON) -m tests.here --module rtshm.ko

# vagrant up and all that, on boxes made here.
test-vagrant: $(VENV)/stamp
	@vm/setup.sh
	@$(SETUP) vagrant
	@$(PYTHON) -m pytest -s -v -x tests/vagrant

# On a kernel that is built first, and all tests on it: half an hour.
coverage: $(VENV)/stamp
	@vm/setup.sh
	@$(PYTHON) -m tools coverage

lint: $(VENV)/stamp docs
	@vm/setup.sh
	@$(SETUP) tools
	@$(PYTHON) -m tools lint
	@shellcheck --shell=dash --exclude=SC1091 $(filter %.sh,$(SHELL_SCRIPTS))
	@shellcheck $(filter-out %.sh,$(SHELL_SCRIPTS))
	@$(PYTHON) -m ruff check --output-format concise client $(SCRIPTS)
	@$(PYTHON) -m ruff format --check client $(SCRIPTS)
	@$(PYTHON) -m mypy client/rtshm $(SCRIPTS)
	@$(VENV)/bin/check-jsonschema -q --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(VENV)/bin/check-jsonschema -q --builtin-schema vendor.github-actions .github/actions/*/action.yml
	@$(VENV)/bin/zizmor -q --offline --no-progress .github

ynl: $(VENV)/stamp
	@vm/setup.sh
	@$(PYTHON) -m tools ynl

# -E: what is generated depends on more than the files that Sphinx looks at.
docs: $(VENV)/stamp man
	@$(PYTHON) -m sphinx -q -E -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

man: $(VENV)/stamp
	@mkdir -p docs/_build
	@$(PYTHON) docs/man.py >docs/_build/rtshm.1
	@echo "docs/_build/rtshm.1"

# Those of the pages, of the demonstration and of Foxglove.
pictures: demo-task
	@$(SETUP) pictures
	@cp step.png docs/step.png
	@dot -Tsvg docs/architecture.dot -o docs/architecture.svg
	@$(PYTHON) docs/pictures.py step.npz
	@npm install --silent --no-save --prefix docs/_build/npm \
		@foxglove/studio-base@1.48.0 react@17.0.2 react-dom@17.0.2
	@$(PYTHON) docs/studio.py docs/_build/npm/node_modules
	@echo "docs/step.png, docs/architecture.svg, docs/terminal.svg, docs/word.svg," \
		"docs/performance.svg, docs/foxglove.png"

# The kernels that have tests, as JSON.
kernels:
	@python3 -m tests.lib.suites

bench: $(VENV)/stamp
	@vm/setup.sh
	@$(SETUP) bench
	@$(PYTHON) -m bench $(ONLY)

$(VENV)/stamp: tests/requirements.txt client/pyproject.toml client/setup.py client/rtshm/_publish.c
	@$(SETUP) tools
	@echo "setting up the Python tools in $(VENV) (one to three minutes)" >&2
	@flock . sh -ec 'test -e $@ && test -z "$$(find $^ -newer $@)" && exit; \
		python3 -m venv --clear $(VENV); \
		$(PYTHON) -m pip install -qq --no-compile -r tests/requirements.txt -e client; touch $@'

clean:
	@find . -path ./$(VENV) -prune -o -path ./.git -prune -o -type f \( -name '*.o' \
		-o -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' -o -name '.*.cmd' \
		-o -name Module.symvers -o -name modules.order \) -exec rm {} +
	@find client tests vm tools bench demo -name __pycache__ -prune -exec rm -r {} +

distclean: clean
	rm -rf $(VENV) docs/_build bench/build .mypy_cache .ruff_cache .pytest_cache
	rm -rf client/build client/rtshm.egg-info client/rtshm/*.so
	@echo "downloads and images stay in $${XDG_CACHE_HOME:-$$HOME/.cache}/kernel-vm"

help:
	@echo "make demo       load the module in a virtual machine, write 42 and 7, watch the log"
	@echo "make demo-task  a controller in the tick, in BPF: a step through it, drawn in step.png"
	@echo "make demo-pi    the same controller as a kernel module"
	@echo "make test       tests that take minutes; KERNEL=6.12-rt: all suites of that kernel;"
	@echo "                T=test_seed: what a name or an expression of pytest's -k selects"
	@echo "make test-all   all tests but test-vm's and test-vagrant's, on every kernel of"
	@echo "                tests/suites.toml, some built first"
	@echo "make test-host  make test without the suites in guests and the seeded faults;"
	@echo "                MORE=1: what test-all adds to it"
	@echo "make test-vm    the tests of the virtual machine itself"
	@echo "make test-here  as root: the guest's tests on this machine, which load the module"
	@echo "make test-vagrant  as root: vagrant up, ssh, reload and destroy, on boxes made here"
	@echo "make coverage   which lines of the module the tests run"
	@echo "make lint       compiler warnings, sparse, checkpatch, shellcheck, ruff, mypy and so on"
	@echo "make docs       the documents as a site; make man: rtshm(1)"
	@echo "make pictures   those of the documents; takes npm and chromium"
	@echo "make ynl        generate the netlink family's C from kmod/netlink/rtshm.yaml"
	@echo "make bench      what it costs, compared with alternatives, into bench/build;"
	@echo "                ONLY='publish tick' takes some of the figures"
	@echo "make            build the module for the running kernel; KDIR=... for another"
	@echo "make install    as root: the module, its headers, the udev rule, the unit for the boot;"
	@echo "                through DKMS where it is installed, or for the running kernel only"
	@echo "make uninstall  and away with them"
	@echo "make vm         a shell in the guest, in a copy of this checkout with the module built;"
	@echo "                CMD='dmesg | tail' runs a command in its place"
	@echo "    KERNEL=6.12-rt   another kernel of vm/kernels.toml"
	@echo "    ICOUNT=1         virtual time is instructions executed: timing is repeatable"
	@echo "    COLD=1           a whole boot in place of the snapshot of one"
	@echo "    GDB=1            serve gdb: prints the command that attaches it"
	@echo "    PACKAGES=clang   further Debian packages in the guest; a new guest takes minutes"
	@echo "    DEADLINE=60      seconds until the machine counts as lost; 600 if not given,"
	@echo "                     none for a shell"
	@echo "  make fails with its own status 2; vm/run 'CMD' has the command's, 255 for a"
	@echo "  lost machine (panic, no status, deadline) and 125 where none could be started."
	@echo "make clean, make distclean"
