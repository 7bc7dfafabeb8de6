# Customize hook of mmdebstrap, run outside the new root, whose path is $1.
# $KERNELS has lines of: name, image package, headers package. $ARCH is empty or, for a
# processor other than this machine's, ":arm64": only the programs of kbuild are for this one.
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
	apt-cache depends --important "$1$ARCH" |
		sed -n 's/^[ |]*Depends: <*\([^:>]*\).*/\1/p' | grep -E -m1 "$2"
}

# apt as root in a user namespace cannot change to its own user.
fetch() {
	(cd "$work" && apt-get -q -o APT::Sandbox::User=root download "$@")
}

unpack() {
	dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"
}

# Whether the release $2 is of the version that the kernel's name $1 begins with.
is_of() {
	version=${1%%-*}
	case $2 in
	"$version" | "$version"[!0-9]*) ;;
	*) return 1 ;;
	esac
}

echo "$KERNELS" | while read -r name image headers; do
	for package in "$image" "$headers"; do
		if [ -z "$(apt-cache madison "$package$ARCH")" ]; then
			echo "E: kernel $name: the archive has no package $package (any more?)" >&2
			exit 1
		fi
	done
	case $image in linux-image-[0-9]*) ;; *) image=$(depends "$image" '^linux-image-[0-9]') ;; esac
	case $headers in
	linux-headers-[0-9]*) ;;
	*) headers=$(depends "$headers" '^linux-headers-[0-9]') ;;
	esac
	release=${image#linux-image-}
	release=${release%-unsigned}
	if [ "$headers" != "linux-headers-$release" ]; then
		echo "E: kernel $name: image $image and headers $headers differ in version" >&2
		exit 1
	fi
	if ! is_of "$name" "$release"; then
		echo "E: kernel $name: the archive now has $image in its place" >&2
		exit 1
	fi
	common=$(depends "$headers" '^linux-headers-.*-common')
	kbuild=$(depends "$headers" '^linux-kbuild-')
	# Since 7.2 the image's own package is empty.
	parts=
	for part in base binary modules; do
		if part=$(depends "$image" "^linux-$part-[0-9]"); then
			parts="$parts $part$ARCH"
		fi
	done
	echo "I: kernel $name: $release"
	rm -f "$work"/*.deb
	# shellcheck disable=SC2086  # words are packages
	fetch "$image$ARCH" $parts "$headers$ARCH" "$common" "$kbuild"
	dir=/kernels/$name
	mkdir -p "$root$dir/all"
	for deb in "$work"/*.deb; do
		case ${deb##*/} in
		linux-headers-* | linux-kbuild-*) unpack "$deb" "$root" ;;
		# A root of its own for depmod and modprobe, which look in /lib/modules.
		*) unpack "$deb" "$root$dir/all" ;;
		esac
	done
	if [ -d "$root$dir/all/usr/lib/modules" ]; then
		ln -sfn usr/lib "$root$dir/all/lib"
	fi
	# In /boot until 7.2.
	for file in vmlinuz config; do
		cp "$root$dir/all/boot/$file-$release" "$root$dir/$file" 2>/dev/null ||
			cp "$root$dir/all/lib/modules/$release/$file" "$root$dir/$file"
	done
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
