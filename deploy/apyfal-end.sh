#!/bin/sh
# Ends this machine once the lease of its host ran out. The host does so by itself as long as it can;
# apyfal-end.timer runs this at every start of the machine, whatever became of the host, of its
# configuration and of the binary. With 'now' it ends the machine without looking.
#
# The lease is what the host wrote down, in milliseconds since the machine was started, 0 for none.
# Where nothing is written down, the machine is never ended. This needs no room on any disk.
set -uf

# The host has so long to end by itself, and so long in addition where it may wait for its jobs.
GRACE=60000
DRAIN=900000

end_machine() {
    echo "apyfal: ending this machine: $1"
    [ -x /etc/apyfal/shut-down ] && /etc/apyfal/shut-down && exit
    systemctl poweroff || poweroff -f
    exit
}

[ "${1-}" != now ] || end_machine 'the lease of its host ran out'

is_number() {
    case $1 in
    '' | *[!0-9]* | ???????????????????*) return 1 ;;
    esac
}

# Takes what a file says of the lease.
take() {
    boot=- agent=0 idle_timeout=0 max_lifetime=0 idle_ends=0 life_ends=0
    # At once, since the host may be writing it.
    text=$(cat "$1" 2>/dev/null) || return
    # Words, by their pairs.
    set -- $text
    while [ $# -gt 1 ]; do
        case $1 in
        boot) boot=$2 ;;
        agent | idle_timeout | max_lifetime | idle_ends | life_ends)
            is_number "$2" || return
            eval "$1=$2"
            ;;
        esac
        shift 2
    done
    [ "$boot" != - ]
}

take /run/apyfal-host/lease || take /var/lib/apyfal/lease || exit 0

read -r uptime _ </proc/uptime
now=$((${uptime%%.*} * 1000))

if [ "$boot" != "$(cat /proc/sys/kernel/random/boot_id)" ]; then
    # No host has taken it up since the machine was started, so its times begin with the first look.
    began=/run/apyfal-end/began
    mkdir -p /run/apyfal-end
    [ -s "$began" ] || echo "$now" >"$began"
    began=$(cat "$began")
    is_number "$began" || began=0
    agent=0 idle_ends=0 life_ends=0
    [ "$idle_timeout" = 0 ] || idle_ends=$((began + idle_timeout))
    [ "$max_lifetime" = 0 ] || life_ends=$((began + max_lifetime))
fi

# is_over END GRACE
is_over() {
    [ "$1" -gt 0 ] && [ "$now" -ge $(($1 + $2)) ]
}

! is_over "$idle_ends" "$GRACE" || end_machine 'nobody used its host for too long'
[ "$agent" = 0 ] || ! [ -d "/proc/$agent" ] || GRACE=$((GRACE + DRAIN))
! is_over "$life_ends" "$GRACE" || end_machine 'the life of its host is over'
