#!/bin/bash
# Makes this machine a host of Apyfal when it first starts. Written by apyfal @VERSION@.
set -u
UMASK=$(umask)
umask 022
export HOME="${HOME:-/root}"
export PATH="${PATH:-/usr/sbin:/usr/bin:/sbin:/bin}:/usr/local/bin"
APYFAL=/usr/local/bin/apyfal
CONFIG=/etc/apyfal/accelerator.conf

shut_down() {
    sh /etc/apyfal/shut-down
}

# The machine ends by itself unless it becomes a host: it costs, whether it is of use or not.
mkdir -p /run/apyfal /var/lib/apyfal /etc/apyfal /etc/systemd/system /usr/local/bin /usr/local/lib/apyfal /var/log
chmod 700 /var/lib/apyfal
cat >/etc/apyfal/shut-down <<'APYFAL_END'
#!/bin/sh
@SHUTDOWN@
APYFAL_END
chmod 755 /etc/apyfal/shut-down
# What follows holds secrets.
umask 077
# An image of a host has all of that one, which is another machine.
if [ -e /var/lib/apyfal/token ] && [ "$(cat /var/lib/apyfal/made-by 2>/dev/null)" != @CONTACT@ ]; then
    find /var/lib/apyfal/ -mindepth 1 -delete
fi
echo @CONTACT@ >/var/lib/apyfal/made-by
exec >>/var/log/apyfal-user-data.log 2>&1
fail() {
    echo "apyfal: $*"
    # What the provider shows of the machine.
    echo "apyfal: $*" 2>/dev/null >/dev/console
    exit 1
}

# put PATH: writes what it reads to a file of its own, as a whole.
put() {
    cat >"$1.new" && mv "$1.new" "$1" || fail "cannot write $1"
}

(
    sleep @ARM@
    [ -e /run/apyfal/up ] || shut_down
) &
disown
# The same at every start of the machine: until there is a host, which has a lease of its own or none, this is it.
@END@
put /var/lib/apyfal/lease <<APYFAL_END
boot $(cat /proc/sys/kernel/random/boot_id)
max_lifetime @ARM@000
life_ends $(($(cut -d. -f1 /proc/uptime) * 1000 + @ARM@000))
APYFAL_END
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl enable --now apyfal-end.timer
else
    while sleep 30 && [ -e /usr/local/lib/apyfal/apyfal-end.sh ]; do
        sh /usr/local/lib/apyfal/apyfal-end.sh
    done &
    disown
fi

# pushed SHA256: waits for a file that the owner sends by ssh, and prints where it is. Meanwhile it says
# what this machine is known by where nobody else can say anything.
pushed() {
    mkdir -p -m 1733 /var/lib/apyfal-push
    local said=0
    until [ -e "/var/lib/apyfal-push/$1" ]; do
        [ $((said++ % 50)) -ne 0 ] || cat /etc/ssh/ssh_host_*_key.pub 2>/dev/null |
            while read -r kind key _; do echo "apyfal: ssh host key $kind $key"; done >/dev/console
        sleep 0.1
    done
    echo "/var/lib/apyfal-push/$1"
}

# fetch URL SHA256 PATH; the URL may be the path of a file that is there
fetch() {
    for try in 1 2 3 4 5 6; do
        if [ -e "$1" ]; then
            cp "$1" "$3.new"
        elif command -v curl >/dev/null; then
            curl -fsSL --connect-timeout 20 -o "$3.new" "$1"
        elif command -v wget >/dev/null; then
            wget -q -T 20 -O "$3.new" "$1"
        else
            python3 -c 'import sys, urllib.request as r; r.urlretrieve(sys.argv[1], sys.argv[2])' "$1" "$3.new"
        fi && echo "$2  $3.new" | sha256sum -c --status && mv "$3.new" "$3" && return
        sleep $((try * 2))
    done
    rm -f "$3.new"
    # Without its query, which has the signature of one that is signed.
    fail "cannot get ${1%%\?*} with the SHA-256 $2"
}

if ! echo "@AGENT_SHA256@  $APYFAL" | sha256sum -c --status 2>/dev/null; then
    fetch @AGENT_URL@ @AGENT_SHA256@ "$APYFAL"
fi
chmod 755 "$APYFAL"
@CONFIGURATION@
# There is one first contact in the life of a machine, though this may run again.
if [ ! -e /var/lib/apyfal/token ]; then
    mkdir -p /var/lib/apyfal/first-contact
@FIRST_CONTACT@
fi
@DEVICE@
@METADATA@
"$APYFAL" host install --no_start@DEVICES@ --config /etc/apyfal/new.conf || fail 'cannot make this machine a host'
rm -f /etc/apyfal/new.conf
@PACKAGE@
rm -rf /var/lib/apyfal-push
if [ -d /run/systemd/system ]; then
    "$APYFAL" host install@DEVICES@ || fail 'cannot start the service'
else
    (
        while :; do
            "$APYFAL" serve --config "$CONFIG"
            case $? in
            95)
                shut_down
                break
                ;;
            0 | 2 | 3 | 130) break ;;
            esac
            sleep 2
        done
    ) &
    disown
fi

for _ in $(seq 300); do
    if "$APYFAL" host status --config "$CONFIG"; then
        touch /run/apyfal/up
        break
    fi
    sleep 1
done
[ -e /run/apyfal/up ] || fail 'the host does not answer'
