#!/bin/sh
# Vagrant runs this as root of the machine, and may do so again: installs the module for
# the kernel that runs, and the client, as docs/installing.md has it, and shows both.
set -eu
user=vagrant
source=/home/$user/rtshm
venv=/opt/rtshm
release=$(uname -r)
export DEBIAN_FRONTEND=noninteractive

packages() {
	apt-get -q -y -o Dpkg::Use-Pty=0 --no-install-recommends install "$@"
}

apt-get -q update

# The archive has the headers of its newest kernel only, and a box is older than that.
if [ ! -e "/lib/modules/$release/build" ]; then
	if ! apt-cache show "linux-headers-$release" >/dev/null 2>&1; then
		# cloud-amd64 of 6.1.0-37-cloud-amd64 and of 6.12.41+deb13-cloud-amd64
		flavour=$(echo "$release" | sed -E 's/^[^-]+-([0-9][^-]*-)?//')
		packages "linux-image-$flavour" "linux-headers-$flavour"
		cat >&2 <<END

rtshm: this box runs Linux $release, and the archive no longer has its headers.
rtshm: A newer kernel is installed now, with headers. To boot it and go on:

    vagrant reload --provision

END
		# Nothing works yet: what would follow on vagrant up must not.
		exit 1
	fi
	packages "linux-headers-$release"
fi

# Where the packages are too old for the client, pip takes others from PyPI.
# shellcheck disable=SC2046  # words are packages
packages $(cat "$source/vagrant/packages")

cd "$source"
if [ -d /sys/module/rtshm ]; then
	rmmod rtshm
fi
if [ -d /var/lib/dkms/rtshm ]; then
	make uninstall
fi
make install
usermod -aG rtshm "$user"
cp system/modules-load.conf /etc/modules-load.d/rtshm.conf
modprobe rtshm
udevadm settle

python3 -m venv --system-site-packages "$venv"
# Of a copy: what setuptools leaves would be root's, and among the user's sources.
copy=$(mktemp -d)
cp -R client "$copy"
"$venv/bin/pip" install -q --no-build-isolation "$copy/client"
rm -r "$copy"
ln -sf "$venv/bin/rtshm" /usr/local/bin/rtshm

# The kernel says its value at every tick.
for value in 42 7; do
	echo "# rtshm write $value"
	runuser -u "$user" -- rtshm write "$value"
	timeout 60 dmesg --follow-new | grep -m1 "rtshm: default: shared mem=$value\$"
done
