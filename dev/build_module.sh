#!/bin/bash
# Builds the nginx module out of tree against the headers of the installed
# nginx (package nginx-dev) and copies it to bin/.  Configures anew only when
# `config` or the set of source files changed.
#
#   dev/build_module.sh [asan]
#
# asan: with -fsanitize=address,undefined, into build/module-asan.  The packaged
# nginx loads it with LD_PRELOAD=$(gcc -print-file-name=libasan.so) and
# ASAN_OPTIONS=detect_leaks=0, as tests under LOYALTY_ASAN=1 do.

set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
src=${NGINX_SRC:-/usr/share/nginx/src}
kind=${1:-}
out=$root/build/module
so=ngx_loyalty_module.so
more=

# one unit of translation, and nothing seen from outside but what nginx asks
# the file for: calls between the files are plain calls, or none.  The warning
# is for a zone that is NULL, which without http there is and no request is.
fast="-flto=2"
bind="-Wl,--version-script=$root/dev/module.map -flto=2 -O2"
bind="$bind -Wno-stringop-overread"

if [ "$kind" = asan ]; then
    fast=
    bind=
    out=$root/build/module-asan
    more="-fsanitize=address,undefined -fno-sanitize=nonnull-attribute"
    more="$more -fno-omit-frame-pointer -O1 -Wno-maybe-uninitialized"
fi

# make cover asks by its compiler flags
case " ${CFLAGS:-} " in
*" --coverage "*)
    fast=
    bind=
    more="--coverage -fprofile-update=atomic -O0 -U_FORTIFY_SOURCE"
    more="$more -Wno-null-dereference"
    ;;
esac

if [ ! -f "$src/conf_flags" ]; then
    echo "$0: no nginx headers in $src: install nginx-dev" >&2
    exit 1
fi

mkdir -p "$out" "$root/bin"
exec 9> "$out/.lock"
flock 9

warn="-std=gnu11 -Wall -Wextra -Wno-unused-parameter -Wformat=2 -Wshadow"
warn="$warn -Wstrict-prototypes -Wmissing-prototypes -Wnull-dereference"
warn="$warn -Wvla -Wimplicit-fallthrough"

# the set of files and flags that the generated Makefile was made for
stamp=$(
    cd "$root"
    ls ngx_loyalty_module/* common/*.[ch]
    cksum config dev/build_module.sh dev/module.map
    /usr/sbin/nginx -v 2>&1 || true
)

if [ ! -f "$out/Makefile" ] || [ "$stamp" != "$(cat "$out/.stamp" 2>/dev/null)" ]
then
    NGX_CONF_FLAGS=()
    . "$src/conf_flags"
    cc="$(dpkg-buildflags --get CFLAGS) -fPIC"
    cc="$cc $(dpkg-buildflags --get CPPFLAGS) $warn $more $fast"
    ld="$(dpkg-buildflags --get LDFLAGS) -fPIC $more $bind"
    (
        cd "$src"
        # auto/cc/gcc adds -Werror
        ./configure --with-cc-opt="$cc" --with-ld-opt="$ld" \
            "${NGX_CONF_FLAGS[@]}" \
            --add-dynamic-module="$root" --builddir="$out"
    ) > "$out/configure.log" 2>&1 || {
        tail -n 20 "$out/configure.log" >&2
        exit 1
    }
    echo "$stamp" > "$out/.stamp"
fi

# flags given to the calling make are not for nginx's Makefile
env -u MAKEFLAGS -u MFLAGS -u CFLAGS -u LDFLAGS \
    make -s -C "$src" -f "$out/Makefile" modules

if [ -z "$kind" ]; then
    # a new file, never the old one overwritten: it may be mapped
    cp "$out/$so" "$root/bin/.$so.$$"
    mv -f "$root/bin/.$so.$$" "$root/bin/$so"
fi
