# Runs a program with an opencryptoki of its own. Arguments: a folder, the PIN, the program.
#
# opencryptoki has one configuration, one daemon and one folder of tokens for the whole machine.
# Here they are others: what is mounted below is seen by this process and its children alone. It
# runs as the first process of a PID namespace, so the daemon ends when it does.
set -eu
folder=$1
pin=$2
shift 2

mkdir -p "$folder/etc" "$folder/lib/swtok/TOK_OBJ" "$folder/run/lock/opencryptoki/swtok"
cat >"$folder/etc/opencryptoki.conf" <<CONFIGURATION
version opencryptoki-3.1
slot 3
{
stdll = libpkcs11_sw.so
}
CONFIGURATION
chgrp -R pkcs11 "$folder/lib" "$folder/run/lock/opencryptoki"
chmod -R 0770 "$folder/lib" "$folder/run/lock/opencryptoki"
mount --bind "$folder/etc" /etc/opencryptoki
mount --bind "$folder/lib" /var/lib/opencryptoki
mount --bind "$folder/run" /run
mount -t tmpfs tmpfs /dev/shm

# Tests stop and continue the process group that this file names: one of the daemon's own.
setsid pkcsslotd -f >"$folder/pkcsslotd.log" 2>&1 &
echo $! >"$folder/running"
tries=0
until [ -S /run/pkcsslotd.socket ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ]; then
        echo "pkcsslotd does not answer; see $folder/pkcsslotd.log" >&2
        exit 1
    fi
    sleep 0.1
done

# A new token comes with these two PINs, and is of no use until both are changed.
{
    printf '87654321\nchancery\n' | pkcsconf -I -c 3
    pkcsconf -P -c 3 -S 87654321 -n 76543210
    pkcsconf -u -c 3 -S 76543210 -n 12345678
    pkcsconf -p -c 3 -U 12345678 -n "$pin"
} >"$folder/pkcsconf.log"

"$@"
