# Sourced by tests that are written in JavaScript: `run_node FILE` below tests/, in TAP, against
# $PRILORAD, else build/asan/prilorad. Skipped where Node or the packages of tests/package.json are
# not there.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
export ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS=suppressions=$PWD/tests/lsan.supp:print_suppressions=0

skip() {
    echo "1..1"
    echo "ok 1 # SKIP $1"
    exit 0
}

# need_packages: those of the lock file, fetched now if `make deps` has not done so
need_packages() {
    command -v node >/dev/null && command -v npm >/dev/null || skip "nodejs or npm is not installed"
    [ tests/node_modules/.package-lock.json -nt tests/package-lock.json ] ||
        make -s deps-npm >&2 || skip "npm cannot fetch its packages"
}

run_node() {
    need_packages
    exec node --test-reporter=tap "tests/$1"
}
