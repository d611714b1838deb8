#!/bin/sh
# Starts a Postgres server for tests on loopback and prints its URL. The server keeps running.
#   usage: postgres.sh DIR PORT     stop it with: kill $(cat DIR/pid)
# Needs Debian's package `postgresql`, any version. If root runs it, the server runs as the user `postgres`, because
# Postgres does not run as root. Started again on the same DIR, it uses the data there.
set -eu
dir=$1 port=$2
bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1)
[ -n "$bin" ] || { echo 'postgres.sh: install the package postgresql first' >&2; exit 1; }

mkdir -p "$dir"
as() { "$@"; }
if [ "$(id -u)" = 0 ]; then
  chown postgres "$dir"
  as() { runuser -u postgres -- "$@"; }
fi
cd "$dir"

[ -d data ] || as "$bin/initdb" -D data -U playhead --auth=trust --encoding=UTF8 --locale=C >init.log
# Nothing here outlives the tests, so fsync is off.
as "$bin/pg_ctl" -D data -l server.log -w -t 30 -o "-c listen_addresses=127.0.0.1 -c port=$port \
  -c unix_socket_directories='' -c fsync=off -c max_connections=200" start >start.log
head -1 data/postmaster.pid >pid
echo "postgres://playhead@127.0.0.1:$port/postgres"
