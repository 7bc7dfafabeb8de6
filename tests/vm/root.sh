# Customize hook of mmdebstrap, run outside the new root, whose path is $1.
# $KERNELS has lines of: name, image package, headers package.
#
# The headers of a Debian kernel depend on its image, and installing an image
# makes an initramfs for it, which takes minutes. So both are unpacked only:
# headers into the root, images into /kernels/<name>.
set -eu
root=$1
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
work=$root/var/tmp/kernels
mkdir -p "$work" "$root/kernels" "$root/build"

# What package $1 depends on, of the names that match the expression $2.
depends() {
	apt-cache depends --important "$1" | sed -n 's/^[ |]*Depends: //p' | grep -E -m1 "$2"
}

# apt as root in a user namespace cannot change to its own user.
fetch() {
	(cd "$work" && apt-get -q -o APT::Sandbox::User=root download "$@")
}

unpack() {
	dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"
}

echo "$KERNELS" | while read -r name image headers; do
	for package in "$image" "$headers"; do
		if ! apt-cache show "$package" >/dev/null 2>&1; then
			echo "E: kernel $name: the archive has no package $package" >&2
			exit 1
		fi
	done
	image=$(depends "$image" '^linux-image-[0-9]' || echo "$image")
	headers=$(depends "$headers" '^linux-headers-[0-9]' || echo "$headers")
	release=${image#linux-image-}
	release=${release%-unsigned}
	if [ "$headers" != "linux-headers-$release" ]; then
		echo "E: kernel $name: image $image and headers $headers differ in version" >&2
		exit 1
	fi
	common=$(depends "$headers" '^linux-headers-.*-common')
	kbuild=$(depends "$headers" '^linux-kbuild-')
	echo "I: kernel $name: $release"
	rm -f "$work"/*.deb
	fetch "$image" "$headers" "$common" "$kbuild"
	for deb in "$work"/linux-headers-*.deb "$work"/linux-kbuild-*.deb; do
		unpack "$deb" "$root"
	done
	dir=/kernels/$name
	mkdir -p "$root$dir/all"
	# A root of its own for depmod and modprobe, which look in /lib/modules.
	unpack "$work"/linux-image-*.deb "$root$dir/all"
	if [ -d "$root$dir/all/usr/lib/modules" ]; then
		ln -sfn usr/lib "$root$dir/all/lib"
	fi
	cp "$root$dir/all/boot/vmlinuz-$release" "$root$dir/vmlinuz"
	cp "$root$dir/all/boot/config-$release" "$root$dir/config"
	echo "$release" >"$root$dir/release"
	chroot "$root" depmod -b "$dir/all" "$release"
	# What stands between the initramfs and its disks, in the order of loading.
	chroot "$root" modprobe -d "$dir/all" -S "$release" -a --show-depends \
		virtio_pci virtio_blk virtio_console ext4 |
		sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' >"$work/list"
	mkdir "$root$dir/modules"
	n=10
	while read -r module; do
		file=${module##*/}
		case $file in
		*.xz) chroot "$root" xz -dc "$module" >"$root$dir/modules/$n-${file%.xz}" ;;
		*.zst) chroot "$root" zstd -qdc "$module" >"$root$dir/modules/$n-${file%.zst}" ;;
		*) cp "$root$module" "$root$dir/modules/$n-$file" ;;
		esac
		n=$((n + 1))
	done <"$work/list"
	rm -rf "$root$dir/all"
done

rm -rf "$work"
