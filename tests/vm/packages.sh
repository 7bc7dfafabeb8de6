#!/bin/sh
# Sees that the Debian packages are there that the commands of the Makefile need:
# packages.sh vm|tools|bench|vagrant. Says what is missing and why before it installs anything;
# says nothing, and does nothing, if all is there.
set -eu
packages=

# want PACKAGE WHY FILE-OR-COMMAND...: the package if any of these is missing.
want() {
	package=$1 why=$2
	shift 2
	for thing; do
		case $thing in
		/*) [ -e "$thing" ] && continue ;;
		*) command -v "$thing" >/dev/null && continue ;;
		esac
		echo "packages: $package is missing: $why" >&2
		packages="$packages $package"
		return
	done
}

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
want git "the guest gets the files that git knows" git
want python3 "runs the virtual machine" python3
# Mostly all that there is to ask of it: to start it takes longer than all else here.
python=
if python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
	python=fine
fi
case ${1:-vm} in
vm)
	want qemu-system-x86 "the virtual machine" qemu-system-x86_64 /usr/share/qemu/pvh.bin
	want mmdebstrap "makes the Debian systems to build in and to boot" mmdebstrap
	want debian-archive-keyring "to trust their packages" $keyring
	want gpg "to find the key they are signed with" gpg
	want e2fsprogs "makes the guest's disk image" /sbin/mke2fs
	want util-linux "mounts that end with the process" unshare setpriv
	want mount "binds directories into those systems" mount
	if [ -z "$python" ] && ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
		want python3-venv "what the guest has of PyPI comes by pip" /nonexistent
	fi
	want xz-utils "YNL and checkpatch come in the kernel's source archive" xz
	if [ "$(id -u)" != 0 ]; then
		want uidmap "makes Debian systems without being root" newuidmap
	fi
	;;
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
esac

if [ -n "$packages" ]; then
	if ! command -v apt-get >/dev/null; then
		echo "packages: no apt-get here; install by hand:$packages" >&2
		exit 1
	fi
	sudo=
	if [ "$(id -u)" != 0 ]; then
		sudo=sudo
		if ! command -v sudo >/dev/null; then
			echo "packages: not root and no sudo; as root: apt-get install$packages" >&2
			exit 1
		fi
	fi
	echo "packages: installing${sudo:+ with sudo}:$packages" >&2
	$sudo apt-get -q update >&2
	# shellcheck disable=SC2086  # words are packages
	$sudo env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y -o Dpkg::Use-Pty=0 --no-install-recommends install $packages >&2
fi

if [ -z "$python" ] && ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
	echo "packages: $(python3 --version) is too old: Python 3.11 or later is needed" >&2
	exit 1
fi
