#!/bin/sh
# Installs what `make test` needs beyond Go: a C compiler (the race detector links with one), redis-server, Chromium,
# Firefox, nginx, and Node.js with npm for one of the third-party OPs. It says what it installs, and installs nothing that is there already.
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
need 'gcc libc6-dev' gcc
need redis-server redis-server
need chromium chromium chromium-browser google-chrome
need firefox-esr firefox-esr firefox
need nginx-light nginx /usr/sbin/nginx
need nodejs node
need npm npm

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

if [ ! op/panva/node_modules/.package-lock.json -nt op/panva/package-lock.json ]; then
	echo 'deps: npm ci in e2e/op/panva (oidc-provider, openid-client)'
	npm ci --silent --ignore-scripts --prefix op/panva
fi
