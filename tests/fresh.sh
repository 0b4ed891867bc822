#!/bin/bash
# Tries the set-up itself: runs the README's two commands on a minimal Debian system that has nothing but git, make and
# Python, made here by debootstrap. Needs root. Variables: SUITE (trixie, bookworm), LINUX_SRC and LINUX_BASE (handed through,
# read-only), KEEP=1 (do not remove the system). What is not committed is not tried.
set -euo pipefail
suite=${SUITE:?set it to trixie or bookworm}
checkout=$(cd "$(dirname "$0")/.." && pwd -P)
fail() { echo "error: $*" >&2; exit 3; }
[ "$(id -u)" = 0 ] || fail "test-fresh needs root, for debootstrap and mounts: run it with sudo"
for tool in debootstrap unshare pivot_root git; do
	command -v $tool >/dev/null || fail "$tool is not installed: apt-get install debootstrap util-linux git"
done

# Mirrors, proxies and certificates are those of this machine.
. /etc/os-release
sources=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
	sed -n "s|^\([^ ]*\) $VERSION_CODENAME\(.*\)|deb \1 $suite\2|p")
mirror=$(echo "$sources" | awk -v suite="$suite" '$3 == suite { print $2; exit }')
[ "$mirror" ] || fail "apt is not configured with a mirror of $VERSION_CODENAME"

mkdir -p "$checkout/dist/fresh"
root=$(mktemp -d "${TMPDIR:-/var/tmp}/patchgen-fresh-XXXXXX")
chmod 755 "$root" # it becomes /
[ "${KEEP:-}" ] || trap 'rm -rf --one-file-system "$root"' EXIT
echo "making a minimal $suite in $root"
debootstrap --variant=minbase --include=ca-certificates,git,make,python3 "$suite" "$root" "$mirror" \
	>"$checkout/dist/fresh/debootstrap.log" || fail "debootstrap failed, see dist/fresh/debootstrap.log"
echo "$sources" >"$root/etc/apt/sources.list"
apt-config dump | grep -E '^Acquire::(https?::|Check-|Retries)' >"$root/etc/apt/apt.conf.d/99host" || true
for file in /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt; do
	[ ! -e $file ] || cp $file "$root$file"
done
[ ! -e /etc/pip.conf ] || sed '/find-links\|file:/d' /etc/pip.conf >"$root/etc/pip.conf" # directories of this machine
git clone -q "$checkout" "$root/srv/patchgen" # where an ordinary user can read it, for the tests that run as one
if [ "${LINUX_SRC:-}" ]; then
	if [ -d "$LINUX_SRC" ]; then mkdir "$root/linux"; else touch "$root/linux"; fi
fi

# A namespace of its own, not a plain chroot: in that bubblewrap cannot work.
enter='
set -e
mount --bind "$ROOT" "$ROOT"
if [ "$LINUX_SRC" ]; then mount --bind "$LINUX_SRC" "$ROOT/linux"; mount -o remount,bind,ro "$ROOT/linux"; fi
mount -t proc proc "$ROOT/proc"
mount --rbind /dev "$ROOT/dev"
mount -t tmpfs tmpfs "$ROOT/run"
cd "$ROOT"; mkdir old; pivot_root . old; umount -l /old; rmdir /old
[ ! "$LINUX_SRC" ] || export LINUX_SRC=/linux
cd /srv/patchgen
exec env -u ROOT HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin bash -c "$RUN"'
# The commands as they stand in the README: the indented lines of its first section that begin with make.
run='
failed=0
[ "$LINUX_SRC" ] || unset LINUX_SRC LINUX_BASE
while read -r command; do
	echo "fresh: $command"; SECONDS=0
	$command </dev/null && status=0 || { status=$?; failed=1; }
	echo "fresh: $command ended with $status after $SECONDS s"
done <<<"$(sed -n "s/^    \(make [a-z]*\)  .*#.*/\1/p" README.md)"
exit $failed'
set +e
env -i ROOT="$root" RUN="$run" LINUX_SRC="${LINUX_SRC:-}" LINUX_BASE="${LINUX_BASE:-}" \
	$(env | grep -E '^(PIP_(INDEX_URL|EXTRA_INDEX_URL|CERT|PROXY|TRUSTED_HOST)|[a-z]*_proxy)=' || true) PATH="$PATH" \
	unshare --mount --pid --fork --kill-child --propagation private sh -c "$enter" 2>&1 | tee "$checkout/dist/fresh/$suite.log"
status=${PIPESTATUS[0]}
cp -a "$root/srv/patchgen/dist" "$checkout/dist/fresh/$suite" 2>/dev/null
exit "$status"
