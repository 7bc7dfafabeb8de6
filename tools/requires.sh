# The lists of this project for vm/setup.sh: vm/setup.sh tools/requires.sh WORD.
case $2 in
tools)
	# Debian's python3 comes without what makes a venv.
	if [ -z "$python" ] && ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
		want python3-venv "the Python tools go into .venv" /nonexistent
	fi
	want gcc "a host test compiles the ABI header" cc
	if ! python3 -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' \
		2>/dev/null; then
		want python3-dev "the Python client has C in it" /nonexistent
	fi
	want g++ "a host test compiles layout headers as C++" g++
	want libc6-dev "a host test compiles the ABI header" /usr/include/stdio.h
	want perl "runs checkpatch" perl
	want shellcheck "make lint reads the shell scripts with it" shellcheck
	want groff-base "a host test formats the manual page" groff
	want mandoc "a host test checks the manual page" mandoc
	# Ubuntu has it as a snap only, and GitHub's runners have another.
	if ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null &&
		apt-cache show chromium-headless-shell >/dev/null 2>&1; then
		want chromium-headless-shell "host tests open pages and notebooks in it" \
			chromium-headless-shell
	fi
	;;
pictures)
	want graphviz "draws docs/architecture.dot" dot
	want npm "gets Foxglove Studio for its picture" npm
	;;
bench)
	want kmod "virtme-ng finds modules with it" modprobe
	want busybox-static "virtme-ng makes an initramfs of it" busybox
	;;
vagrant)
	want vagrant "what is tested" vagrant
	want vagrant-libvirt "makes Vagrant's machine" \
		/usr/share/rubygems-integration/all/specifications/vagrant-libvirt-*.gemspec
	want libvirt-daemon-system "runs it" libvirtd
	want libvirt-clients "looks at what is left of it" virsh
	want dnsmasq-base "gives it an address" dnsmasq
	want iproute2 "sets up the network it is in" ip
	want qemu-utils "makes the image in the box" qemu-img
	want rsync "brings this checkout into it" rsync
	want openssh-client "how Vagrant gives it commands" ssh
	;;
*)
	echo "requires.sh: no list $2" >&2
	exit 2
	;;
esac
