#!/bin/sh
# Makes a Debian package of the broker: program, systemd units, settings, the user that it runs as.
# deb.sh [FOLDER]    puts p2pgate-broker_VERSION_ARCH.deb there, else into the current folder
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-.}
command -v dpkg-deb >/dev/null || { echo "deb.sh: dpkg-deb is missing: apt-get install dpkg" >&2; exit 1; }

out=$(cd "$out" && pwd)
cd "$here/../.."
${CARGO:-cargo} build --release -p p2pgate-broker -p p2pgate-recorder --bin p2pgate-broker
version=$(${CARGO:-cargo} pkgid -p p2pgate-broker | sed 's/.*[#@]//')
program=${CARGO_TARGET_DIR:-target}/release/p2pgate-broker

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
install -D -m 755 "$program" "$root/usr/bin/p2pgate-broker"
install -D -m 644 "$here/p2pgate-broker.toml" "$root/etc/p2pgate-broker.toml"
install -D -m 644 "$here/p2pgate-broker.socket" "$root/lib/systemd/system/p2pgate-broker.socket"
mkdir -p "$root/DEBIAN" "$root/usr/share/doc/p2pgate-broker"
sed 's|/usr/local/bin/|/usr/bin/|' "$here/p2pgate-broker.service" > "$root/lib/systemd/system/p2pgate-broker.service"
cp "$here/README.md" "$root/usr/share/doc/p2pgate-broker/"
cat "$here/../../LICENSE-MIT" "$here/../../LICENSE-APACHE" > "$root/usr/share/doc/p2pgate-broker/copyright"

cat > "$root/DEBIAN/control" <<EOF
Package: p2pgate-broker
Version: $version
Architecture: $(dpkg --print-architecture)
Maintainer: The p2pgate developers
Depends: libc6 (>= $(ldd --version | sed -n '1s/.* //p')), libgcc-s1, adduser
Section: net
Priority: optional
Description: broker that recorders share recordings through
 Tells permitted terminals where they reach each other, relays what is
 confidential, and keeps recordings for those that are away.
EOF
echo /etc/p2pgate-broker.toml > "$root/DEBIAN/conffiles"
cat > "$root/DEBIAN/postinst" <<'EOF'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    if ! getent passwd p2pgate >/dev/null; then
        adduser --system --group --home /var/lib/p2pgate --no-create-home p2pgate
    fi
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        systemctl enable p2pgate-broker.service
        systemctl restart p2pgate-broker.service
    fi
fi
EOF
cat > "$root/DEBIAN/prerm" <<'EOF'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --now p2pgate-broker.service
fi
EOF
# Keys, lists and deposits stay, until a person takes /var/lib/p2pgate away.
cat > "$root/DEBIAN/postrm" <<'EOF'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
EOF
chmod 755 "$root/DEBIAN/postinst" "$root/DEBIAN/prerm" "$root/DEBIAN/postrm"
dpkg-deb --build --root-owner-group "$root" "$out/p2pgate-broker_${version}_$(dpkg --print-architecture).deb"
