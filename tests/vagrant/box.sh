# Customize hook of mmdebstrap, run outside the new root, whose path is $1: what makes a
# Vagrant box of it, https://developer.hashicorp.com/vagrant/docs/boxes/base.
#
# $KEY is the public key of the user vagrant. $LATER are packages that the box is to have
# in an archive of its own, its only one: it has no network.
set -eu
root=$1

chroot "$root" useradd --create-home --shell /bin/bash vagrant
echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/vagrant"
mkdir -m 700 "$root/home/vagrant/.ssh"
cp "$KEY" "$root/home/vagrant/.ssh/authorized_keys"
chroot "$root" chown -R vagrant: /home/vagrant/.ssh
# An emulated processor takes seconds for what is the default.
cat >"$root/etc/ssh/sshd_config.d/vagrant.conf" <<END
UseDNS no
KexAlgorithms curve25519-sha256,ecdh-sha2-nistp256
END

echo rtshm >"$root/etc/hostname"
echo '127.0.0.1 localhost rtshm' >"$root/etc/hosts"
echo '/dev/vda1 / ext4 defaults 0 0' >"$root/etc/fstab"
cat >"$root/etc/systemd/network/all.network" <<END
[Match]
Type=ether
[Network]
DHCP=ipv4
LinkLocalAddressing=no
END
chroot "$root" systemctl enable systemd-networkd
chroot "$root" systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
	e2scrub_all.timer e2scrub_reap.service fstrim.timer \
	systemd-networkd-wait-online.service getty@tty1.service

# What the test brings was compiled on the host: see harness.py.
cat >"$root/etc/profile.d/ccache.sh" <<END
export CCACHE_DIR=/var/cache/ccache DEBIAN_KERNEL_USE_CCACHE=1
END

mkdir "$root/archive" "$root/build"
if [ "${LATER:-}" ]; then
	# shellcheck disable=SC2086  # words are packages
	APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -q -y --no-install-recommends \
		-o Dir::Cache::Archives="$root/archive" -o APT::Sandbox::User=root \
		--download-only install $LATER
	rm -r "$root/archive/partial" "$root/archive/lock"
fi
rm -r "$root"/etc/apt/sources.list*
chroot "$root" sh -c 'cd /archive && dpkg-scanpackages . >Packages'
echo 'deb [trusted=yes] file:/archive ./' >"$root/etc/apt/sources.list"

# /vmlinuz is the kernel that was installed last.
mkdir -p "$root/boot/grub"
cat >"$root/boot/grub/grub.cfg" <<END
linux /vmlinuz root=/dev/vda1 ro net.ifnames=0
initrd /initrd.img
boot
END
chroot "$root" grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o /boot/grub/core.img \
	biosdisk part_msdos ext2 normal linux
