#!/bin/sh
# Installs the Debian packages that the machine needs and that are missing. Prints what is
# missing and why before it installs anything; prints nothing if all is there.
# setup.sh FILE WORD: in place of them those that the list FILE wants for WORD.
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
		echo "setup: $package is missing: $why" >&2
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
if [ $# = 0 ]; then
	want qemu-system-x86 "the virtual machine" qemu-system-x86_64 /usr/share/qemu/pvh.bin
	case ${KERNEL-} in
	*arm64*) want qemu-system-arm "the virtual machine of an arm64 kernel" qemu-system-aarch64 ;;
	esac
	want mmdebstrap "makes the Debian systems to build in and to boot" mmdebstrap
	want debian-archive-keyring "to trust their packages" $keyring
	want gpg "to find the key they are signed with" gpg
	want e2fsprogs "makes the guest's disk image" /sbin/mke2fs
	want util-linux "mounts that end with the process" unshare setpriv
	want mount "binds directories into those systems" mount
	if [ -z "$python" ] && ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
		want python3-venv "what the guest has of PyPI comes by pip" /nonexistent
	fi
	want xz-utils "files come out of the kernel's source archive" xz
	if [ "$(id -u)" != 0 ]; then
		want uidmap "makes Debian systems without being root" newuidmap
	fi
else
	# shellcheck disable=SC1090  # the caller's list
	. "$1"
fi

if [ -n "$packages" ]; then
	if ! command -v apt-get >/dev/null; then
		echo "setup: no apt-get here; install by hand:$packages" >&2
		exit 1
	fi
	sudo=
	if [ "$(id -u)" != 0 ]; then
		sudo=sudo
		if ! command -v sudo >/dev/null; then
			echo "setup: not root and no sudo; as root: apt-get install$packages" >&2
			exit 1
		fi
	fi
	echo "setup: installing${sudo:+ with sudo}:$packages" >&2
	$sudo apt-get -q update >&2
	# shellcheck disable=SC2086  # words are packages
	$sudo env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y -o Dpkg::Use-Pty=0 --no-install-recommends install $packages >&2
fi

if [ -z "$python" ] && ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
	echo "setup: $(python3 --version) is too old: Python 3.11 or later is needed" >&2
	exit 1
fi
