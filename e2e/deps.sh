#!/bin/sh
# Installs what `make test` needs beyond Go: a C compiler (the race detector links with one), redis-server, Chromium,
# Firefox, nginx, Apache httpd, and Node.js with npm for an OP and the examples. `deps.sh bench` is what `make bench` needs
# in place of these. It says what it installs, and installs nothing that is there already.
set -eu
cd "$(dirname "$0")"

missing=
need() { # need PACKAGES COMMAND...: one of the commands, else all of the packages
	packages=$1
	shift
	for command in "$@"; do
		command -v "$command" >/dev/null 2>&1 && return
	done
	missing="$missing $packages"
}
if [ "${1:-}" = bench ]; then
	need wrk wrk
	need redis-server redis-server
	need nginx-light nginx /usr/sbin/nginx
	need haproxy haproxy /usr/sbin/haproxy
	need apache2-bin apache2 /usr/sbin/apache2
	[ -e /usr/lib/apache2/modules/mod_auth_openidc.so ] || missing="$missing libapache2-mod-auth-openidc"
else
	need 'gcc libc6-dev' gcc
	need redis-server redis-server
	need chromium chromium chromium-browser google-chrome
	need firefox-esr firefox-esr firefox
	need nginx-light nginx /usr/sbin/nginx
	need apache2-bin apache2 /usr/sbin/apache2
	need nodejs node
	need npm npm
fi

if [ -n "$missing" ]; then
	sudo=
	[ "$(id -u)" = 0 ] || sudo='sudo -n'
	if ! command -v apt-get >/dev/null 2>&1 || { [ -n "$sudo" ] && [ "${CI:-}" != true ]; }; then
		echo "deps: the tests need these Debian packages, or what your system calls them:$missing" >&2
		echo "deps: install them and try again; as root on Debian this script does it by itself" >&2
		exit 1
	fi
	echo "deps: apt-get install$missing"
	export DEBIAN_FRONTEND=noninteractive
	$sudo apt-get -qq -o Acquire::Retries=3 update
	# shellcheck disable=SC2086 # a list of packages
	$sudo apt-get -qq -y -o Acquire::Retries=3 install --no-install-recommends $missing >/dev/null
fi

[ "${1:-}" != bench ] || exit 0
npm_ci() { # npm_ci FOLDER WHAT: the packages that its package-lock.json names
	[ "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ] && return
	echo "deps: npm ci for $2"
	npm ci --loglevel=error --no-audit --no-fund --ignore-scripts --prefix "$1" >/dev/null
}
npm_ci op/panva 'the OP oidc-provider'
if ! node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 22 || a == 22 && b >= 19 ? 0 : 1)'; then
	npm_ci node 'the Node.js that Nuxt needs, 22.19 or later'
	npm() { # which leaves out packages that do not run on its own Node.js
		node/node_modules/node-*/bin/node node/node_modules/npm/bin/npm-cli.js "$@"
	}
fi
npm_ci ../deploy/examples/nuxt 'the example with Nuxt'
npm_ci ../deploy/examples/vite 'the example with Vite'
