# prilorad - fine-tunes language models on CPUs with PRILoRA.
#
#   make            the daemon, its client, the static and the shared library, into build/release
#   make demo       the whole path on the bundled example (installs what it needs first)
#   make check      all tests (installs what they need first)
#   make install    into $(DESTDIR)$(PREFIX)
#   make help       everything else
#
# V=1 shows commands. VARIANT=release|asan|tsan|double|fuzz|swift chooses how to build.

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
BINDIR     ?= $(PREFIX)/bin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DOCDIR     ?= $(PREFIX)/share/doc/prilorad
UNITDIR    ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
MANDIR     ?= $(PREFIX)/share/man
BASHDIR    ?= $(PREFIX)/share/bash-completion/completions
PKG_CONFIG ?= pkg-config
INSTALL    ?= install
CFLAGS     ?= -O2 -g
CXXFLAGS   ?= $(CFLAGS)
VARIANT    ?= release
WERROR     ?= $(if $(CI),-Werror)
ROOT       := $(if $(filter 0,$(shell id -u)),,sudo)

VERSION   := $(shell sed -n 's/^\#define PRILORA_VERSION "\(.*\)"/\1/p' lib/prilora.h)
SOVERSION := 0

BUILD := build/$(VARIANT)
Q     := $(if $(V),,@)

# ---- dependencies -----------------------------------------------------------------------------

DEB_BUILD = gcc g++ make pkg-config libmicrohttpd-dev libjansson-dev libopenblas-dev libsqlite3-dev \
	libcurl4-openssl-dev nettle-dev libpcre2-dev libsentencepiece-dev libzip-dev libinih-dev \
	libgnutls28-dev libarchive-dev libutf8proc-dev libjs-chart.js
# other packages than Debian's bring npm within nodejs, and then refuse to stand beside Debian's
DEB_NODE  = $(if $(shell command -v npm),,nodejs npm)
DEB_CHECK = libcmocka-dev clang-format cppcheck gcc-aarch64-linux-gnu libc6-dev-arm64-cross jq curl sqlite3 git \
	openssl prometheus mandoc bsdutils bsdextrautils chromium systemd dbus $(DEB_NODE)
DEB_DEMO  = curl jq
# of single targets
DEB_STATIC   = clang-tidy
DEB_VALGRIND = valgrind libc6-dbg
DEB_FUZZ  = clang libclang-rt-14-dev
DEB_DEB   = debhelper dpkg-dev fakeroot

LIB_PACKAGES    = openblas jansson nettle libzip sentencepiece libpcre2-8 libutf8proc
DAEMON_PACKAGES = $(LIB_PACKAGES) sqlite3 inih libmicrohttpd libcurl gnutls
CLI_PACKAGES    = $(LIB_PACKAGES) libcurl inih libarchive

# ---- flags ------------------------------------------------------------------------------------

WARNINGS  = -Wall -Wextra -Wshadow -Wvla -Wundef -Wpointer-arith -Wformat=2 $(WERROR)
CWARNINGS = $(WARNINGS) -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes

SANITIZE_asan   = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SANITIZE_double = $(SANITIZE_asan) -DPL_DOUBLE
SANITIZE_tsan   = -fsanitize=thread -fno-omit-frame-pointer
SANITIZE_fuzz   = -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
SANITIZE        = $(SANITIZE_$(VARIANT))
# neither memory checks nor comparisons traced, several times as many inputs: what it finds is then
# run again under the former
SANITIZE_swift  = -fsanitize=fuzzer-no-link,undefined -fsanitize-trap=undefined \
	-fno-sanitize-coverage=trace-cmp
ifneq ($(filter fuzz swift,$(VARIANT)),)
CC  = clang
CXX = clang++
# clang leaves some `omp simd` loops as they are at this level, and says so
WARNINGS += -Wno-pass-failed
endif

ALL_CPPFLAGS = -D_GNU_SOURCE -I. -Ilib -Itests -Itests/bench $(CPPFLAGS)
PACKAGE_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(DAEMON_PACKAGES) $(CLI_PACKAGES) 2>/dev/null)
ALL_CFLAGS   = -std=c11 -pthread -fPIC -fvisibility=hidden $(CWARNINGS) $(CFLAGS) $(SANITIZE) \
	$(PACKAGE_CFLAGS)
ALL_CXXFLAGS = -std=c++17 -pthread -fPIC -fvisibility=hidden $(WARNINGS) $(CXXFLAGS) $(SANITIZE) \
	$(PACKAGE_CFLAGS)
ALL_LDFLAGS  = -pthread $(SANITIZE) $(LDFLAGS)
LIB_LIBS    := $(shell $(PKG_CONFIG) --libs $(LIB_PACKAGES) 2>/dev/null) -lm
DAEMON_LIBS := $(shell $(PKG_CONFIG) --libs $(DAEMON_PACKAGES) 2>/dev/null) -lm
CLI_LIBS    := $(shell $(PKG_CONFIG) --libs $(CLI_PACKAGES) 2>/dev/null) -lm

# ---- what is built ----------------------------------------------------------------------------

objects = $(patsubst %,$(BUILD)/%.o,$(basename $(1)))

LIB_SOURCES    := $(sort $(wildcard lib/*/*.c lib/*/*.cc))
DAEMON_SOURCES := $(sort $(wildcard daemon/*.c api/*.c api/dashboard/*.c)) api/assets.S
# what `prilora pull --to` has of the daemon
PULL_SOURCES   := $(sort daemon/pull.c $(wildcard daemon/pull_*.c)) \
	daemon/clock.c daemon/error.c daemon/json_memory.c daemon/log.c daemon/model_id.c daemon/path.c
CLI_SOURCES    := $(sort $(wildcard api/cli/*.c)) api/suggest.c $(PULL_SOURCES)
LIB_OBJECTS     = $(call objects,$(LIB_SOURCES))
DAEMON_OBJECTS  = $(call objects,$(DAEMON_SOURCES))
# everything of the daemon but its main(), for the tests
PARTS_OBJECTS   = $(filter-out $(BUILD)/daemon/main.o,$(DAEMON_OBJECTS))

STATIC_LIB = $(BUILD)/libprilora.a
SHARED_LIB = $(BUILD)/libprilora.so.$(VERSION)

MAN_CONF   = $(BUILD)/prilorad.conf.5

all: $(STATIC_LIB) $(SHARED_LIB) $(BUILD)/prilorad $(BUILD)/prilora $(MAN_CONF)

$(STATIC_LIB): $(LIB_OBJECTS)
	@echo "  AR     $@"
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(SHARED_LIB): $(LIB_OBJECTS) lib/prilora.map
	@echo "  LD     $@"
	$(Q)$(CXX) -shared -Wl,-soname,libprilora.so.$(SOVERSION) -Wl,--version-script=lib/prilora.map \
		$(ALL_LDFLAGS) -o $@ $(LIB_OBJECTS) $(LIB_LIBS)
	$(Q)ln -sf $(notdir $@) $(BUILD)/libprilora.so.$(SOVERSION)
	$(Q)ln -sf $(notdir $@) $(BUILD)/libprilora.so

$(BUILD)/prilorad: $(DAEMON_OBJECTS) $(STATIC_LIB)
	@echo "  LD     $@"
	$(Q)$(CXX) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS)

$(BUILD)/prilora: $(call objects,$(CLI_SOURCES)) $(STATIC_LIB)
	@echo "  LD     $@"
	$(Q)$(CXX) $(ALL_LDFLAGS) -o $@ $^ $(CLI_LIBS)

$(MAN_CONF): daemon/prilorad.conf.5.in daemon/prilorad.conf.awk systemd/prilorad.conf
	@mkdir -p $(@D)
	$(Q)awk -f daemon/prilorad.conf.awk systemd/prilorad.conf | \
		sed -e '/^@SETTINGS@$$/{r /dev/stdin' -e 'd}' daemon/prilorad.conf.5.in >$@

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC     $@"
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/%.o: %.cc
	@mkdir -p $(@D)
	@echo "  CXX    $@"
	$(Q)$(CXX) $(ALL_CPPFLAGS) $(ALL_CXXFLAGS) -MMD -MP -c -o $@ $<

# what the program has inside, each also compressed, beside the object that has them
ASSETS = $(BUILD)/api/assets
WEB    = $(patsubst api/dashboard/web/%,$(ASSETS)/%,$(wildcard api/dashboard/web/*))
FILES  = $(WEB) $(ASSETS)/chart.js $(ASSETS)/openapi.json

$(ASSETS)/chart.js: /usr/share/javascript/chart.js/chart.min.js
$(ASSETS)/openapi.json: api/openapi.json
$(WEB): $(ASSETS)/%: api/dashboard/web/%
$(FILES):
	@mkdir -p $(@D)
	$(Q)cp $< $@
$(FILES:=.gz): %.gz: %
	$(Q)gzip -9nc $< >$@
$(BUILD)/api/assets.o: api/assets.S api/assets.h api/dashboard/assets.h $(FILES) $(FILES:=.gz)
	@mkdir -p $(@D)
	@echo "  AS     $@"
	$(Q)$(CC) -I. -Wa,-I$(ASSETS) -c -o $@ $<

# vector loops: what -O2 leaves out
$(BUILD)/lib/math/%.o $(BUILD)/lib/model/%.o: CFLAGS += -O3 -fopenmp-simd -fno-math-errno -fno-trapping-math

-include $(shell find build/$(VARIANT) -name '*.d' 2>/dev/null)

# ---- tests ------------------------------------------------------------------------------------
#
# tests/unit, tests/golden   under ASan and UBSan     tests/grad, tests/golden  in double precision
# some also as released: sanitizers get the loops without vector clones
# tests/api                  the real daemon, under ASan and under TSan
# tests/crash                the real daemon, killed again and again, under ASan
# tests/faults               the real daemon as released, with power cut and faults made by a library
# tests/cli                  the command-line client and the real daemon, under ASan
# tests/clients              clients that nobody here wrote, and the real daemon, under ASan
# tests/fuzz                 every target replays its corpus under ASan and UBSan

tests_in = $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/$(1)/test_*.c)))
FUZZERS  = $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
SUPPORT_OBJECTS = $(call objects,$(sort $(wildcard tests/support/*.c)))

SHIM         = $(BUILD)/tests/faults/shim.so
BREAKER      = $(BUILD)/tests/cli/breaker
HUB          = $(BUILD)/tests/cli/hub
TESTS_asan   = $(call tests_in,unit) $(call tests_in,golden) $(call tests_in,api) $(call tests_in,crash) \
	$(FUZZERS)
TESTS_release = $(patsubst %,$(BUILD)/tests/%,unit/test_math unit/test_products unit/test_bf16 \
	golden/test_reference golden/test_recompute) $(call tests_in,memory) $(call tests_in,faults)
TESTS_double = $(call tests_in,grad) $(call tests_in,golden)
TESTS_tsan   = $(call tests_in,api)
TESTS        = $(TESTS_$(VARIANT))
# as released, by valgrind; not in `make check`
TESTS_valgrind = $(call tests_in,unit) $(call tests_in,golden)

tests: $(TESTS) $(BUILD)/prilorad $(if $(filter release,$(VARIANT)),$(SHIM)) $(if $(filter asan,$(VARIANT)),$(BUILD)/prilora $(BREAKER) $(HUB))

$(SHIM): $(call objects,$(sort $(wildcard tests/faults/shim*.c)))
	@echo "  LD     $@"
	$(Q)$(CC) -shared $(ALL_LDFLAGS) -o $@ $^ -ldl

$(BREAKER): $(BREAKER).o
	@echo "  LD     $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^

$(HUB): $(HUB).o $(SUPPORT_OBJECTS) $(PARTS_OBJECTS) $(STATIC_LIB)
	@echo "  LD     $@"
	$(Q)$(CXX) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS) -lcmocka

# the client but its main()
CLI_OBJECTS = $(filter-out $(BUILD)/api/cli/main.o,$(call objects,$(CLI_SOURCES)))

# this one tests the client
TEST_CLI = $(BUILD)/tests/unit/test_cli
$(TEST_CLI): $(TEST_CLI).o $(CLI_OBJECTS) $(STATIC_LIB)
	@echo "  LD     $@"
	$(Q)$(CXX) $(ALL_LDFLAGS) -o $@ $^ $(CLI_LIBS) -lcmocka

$(filter-out $(FUZZERS) $(TEST_CLI),$(sort $(TESTS) $(TESTS_valgrind))): $(BUILD)/%: $(BUILD)/%.o $(SUPPORT_OBJECTS) $(PARTS_OBJECTS) $(STATIC_LIB)
	@echo "  LD     $@"
	$(Q)$(CXX) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS) -lcmocka

# of the client's parts
FUZZERS_CLI = $(addprefix $(BUILD)/tests/fuzz/fuzz_,client unpack)
# libFuzzer's main(), or one that feeds it a folder
FUZZ_MAIN   = $(if $(filter fuzz swift,$(VARIANT)),,$(BUILD)/tests/fuzz/replay.o)
FUZZ_FLAGS  = $(if $(FUZZ_MAIN),,-fsanitize=fuzzer)

$(FUZZERS_CLI): $(BUILD)/%: $(BUILD)/%.o $(FUZZ_MAIN) $(CLI_OBJECTS) $(STATIC_LIB)
	@echo "  LD     $@"
	$(Q)$(CXX) $(ALL_LDFLAGS) $(FUZZ_FLAGS) -o $@ $^ $(CLI_LIBS)

$(filter-out $(FUZZERS_CLI),$(FUZZERS)): $(BUILD)/%: $(BUILD)/%.o $(FUZZ_MAIN) $(PARTS_OBJECTS) $(STATIC_LIB)
	@echo "  LD     $@"
	$(Q)$(CXX) $(ALL_LDFLAGS) $(FUZZ_FLAGS) -o $@ $^ $(DAEMON_LIBS)

check: deps-check
	$(Q)$(MAKE) --no-print-directory check-build
	$(Q)tests/run

# on all cores, unless make was told how many
CHECK_MAKE = $(MAKE) $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc)) --no-print-directory
check-build:
	$(Q)$(CHECK_MAKE) VARIANT=release all tests
	$(Q)$(CHECK_MAKE) VARIANT=asan tests
	$(Q)$(CHECK_MAKE) VARIANT=double tests
	$(Q)$(CHECK_MAKE) VARIANT=tsan tests

# the daemon is killed KILLS times under load, asked to end TERMS times, power is cut POWER_CUTS
# times, and FAULTS calls of each kind fail (0: every one); tests/run does a few of each
KILLS      ?= 200
TERMS      ?= 50
POWER_CUTS ?= 50
FAULTS     ?= 100
torture: deps-check
	$(Q)$(MAKE) --no-print-directory VARIANT=asan tests
	$(Q)$(MAKE) --no-print-directory VARIANT=release all tests
	$(Q)PRILORAD=build/asan/prilorad build/asan/tests/crash/test_torture $(KILLS) $(SEED)
	$(Q)PRILORAD=build/asan/prilorad build/asan/tests/crash/test_torture $(TERMS) "$(SEED)" TERM
	$(Q)PRILORAD=build/release/prilorad build/release/tests/faults/test_power $(POWER_CUTS) $(SEED)
	$(Q)PRILORAD=build/release/prilorad build/release/tests/faults/test_faults $(FAULTS)
	$(Q)PRILORAD=build/release/prilorad build/release/tests/faults/test_faults $(FAULTS) memory
	$(Q)PRILORAD=build/release/prilorad build/release/tests/faults/test_faults $(FAULTS) places

# cppcheck, which is in `make check` too, and clang-tidy
static: deps
	$(call need,$(DEB_STATIC))
	$(Q)tests/check-static --all

# tests/unit and tests/golden as they are released; sanitizers do not see what is read unset
valgrind: deps
	$(call need,$(DEB_VALGRIND))
	$(Q)$(MAKE) --no-print-directory VARIANT=release valgrind-tests
	$(Q)tests/valgrind
valgrind-tests: $(TESTS_valgrind)

# libFuzzer binaries: build/fuzz/tests/fuzz/fuzz_NAME tests/fuzz/corpus/NAME
fuzz: deps-fuzz
	$(Q)$(MAKE) --no-print-directory VARIANT=fuzz fuzzers
fuzzers: $(FUZZERS)
# RUNS inputs for each, in turns; what comes of it stays in build/fuzz-long
RUNS ?= 10000000
fuzz-long: fuzz
	$(Q)$(MAKE) --no-print-directory VARIANT=swift fuzzers
	$(Q)tests/fuzz/long $(RUNS)

# the machine's ceilings and our training step against them
BENCH = $(BUILD)/tests/bench/bench
$(BENCH): $(call objects,$(sort $(wildcard tests/bench/*.c))) $(STATIC_LIB)
	@echo "  LD     $@"
	$(Q)$(CXX) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LIBS)
# what is around the step: the daemon's start, memory and answers
BENCH_SERVICE = $(BUILD)/tests/bench/bench-service
$(BENCH_SERVICE): $(call objects,$(sort $(wildcard tests/bench/service/*.c)) tests/bench/random_model.c) \
		$(PARTS_OBJECTS) $(STATIC_LIB)
	@echo "  LD     $@"
	$(Q)$(CXX) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS)
bench: deps-demo
	$(Q)$(MAKE) --no-print-directory VARIANT=release all build/release/tests/bench/bench \
		build/release/tests/bench/bench-service
	$(Q)build/release/tests/bench/bench --markdown build/bench/steps.md --json build/bench/steps.json
	$(Q)build/release/tests/bench/bench-service --markdown build/bench/service.md \
		--json build/bench/service.json

# small jobs and pollers for hours: does anything grow?
SOAK_SECONDS ?= 7200
soak: deps-demo
	$(Q)$(MAKE) --no-print-directory VARIANT=release all build/release/tests/bench/bench-service
	$(Q)build/release/tests/bench/bench-service --soak $(SOAK_SECONDS)

demo: deps-demo
	$(Q)$(MAKE) --no-print-directory VARIANT=release all
	$(Q)examples/demo.sh $(BUILD)/prilorad

format:
	$(Q)find api daemon lib tests -name node_modules -prune -o -name '*.[ch]' -print -o -name '*.cc' -print | \
		xargs clang-format -i

# ---- packages ---------------------------------------------------------------------------------

# sources: what is committed, or without git what is here; the same sources give the same bytes
DIST   = prilorad-$(VERSION)
MOMENT = $(shell [ -e .git ] && git log -1 --format=%ct || stat -c %Y lib/prilora.h)

dist: build/$(DIST).tar.gz
build/$(DIST).tar.gz: FORCE
	@mkdir -p build
	$(Q)if [ -e .git ]; then \
		git archive --prefix=$(DIST)/ -o $(@:.gz=) HEAD; \
	else \
		tar -cf $(@:.gz=) --sort=name --format=posix --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
			--pax-option=delete=atime,delete=ctime --mtime=@$(MOMENT) --transform 's|^\.|$(DIST)|' \
			--exclude=./build --exclude=./.git --exclude=node_modules .; \
	fi
	$(Q)gzip -9nf $(@:.gz=)
	@echo $@

# Debian packages of these sources: prilorad, libprilora0, libprilora-dev. debian/ is made of
# systemd/debian; what is needed to build is said above
DEB_MAINTAINER ?= prilorad <prilorad@localhost>
DEB_FOLDER = build/deb/$(DIST)
comma     := ,
empty     :=
listed     = $(subst $(empty) ,$(comma) ,$(strip $(1)))
DEB_LIB    = libopenblas-dev libjansson-dev nettle-dev libzip-dev libsentencepiece-dev libpcre2-dev \
	libutf8proc-dev

deb: deps-deb
	$(Q)$(MAKE) --no-print-directory deb-build
deb-build: dist
	$(Q)rm -rf build/deb && mkdir -p build/deb
	$(Q)tar -xzf build/$(DIST).tar.gz -C build/deb && cp -r $(DEB_FOLDER)/systemd/debian $(DEB_FOLDER)/
	$(Q)sed -i -e 's|@MAINTAINER@|$(DEB_MAINTAINER)|; s|@VERSION@|$(VERSION)|' \
		-e 's|@LIB_DEPENDS@|$(call listed,$(DEB_LIB))|' \
		-e 's|@BUILD_DEPENDS@|$(call listed,$(filter-out gcc g++ make,$(DEB_BUILD)))|' \
		-e "s|@DATE@|$$(LC_ALL=C date -u -R -d @$(MOMENT))|" $(DEB_FOLDER)/debian/*.in
	$(Q)cd $(DEB_FOLDER)/debian && for f in *.in; do mv $$f $${f%.in}; done
	$(Q)cd $(DEB_FOLDER) && dpkg-buildpackage -b -us -uc
	$(Q)mv build/deb/*.deb build/deb/*.buildinfo build/deb/*.changes build/
	@ls build/*_$(VERSION)_*.deb
# installs, upgrades, removes and purges them in a copy of this system that is thrown away; as root
check-deb: deps deb
	$(call need,lintian)
	$(Q)tests/deb/check

# ---- installing -------------------------------------------------------------------------------

# $(call need,packages): installs those that are missing, asking nothing
need = @missing=$$(for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | \
	grep -q 'ok installed' || echo $$p; done); [ -z "$$missing" ] || { \
	$(ROOT) apt-get update -q && \
	$(ROOT) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; }

deps:
	$(call need,$(DEB_BUILD) $(DEB_CHECK) $(DEB_DEMO))
	$(Q)$(MAKE) --no-print-directory deps-npm || echo "npm has no packages: their tests are skipped"
deps-check: deps
# what the tests in JavaScript use
deps-npm: tests/node_modules/.package-lock.json
tests/node_modules/.package-lock.json: tests/package-lock.json
	$(Q)cd tests && npm ci --no-fund --no-audit --loglevel=error && touch node_modules/.package-lock.json
deps-demo:
	$(call need,$(DEB_BUILD) $(DEB_DEMO))
deps-deb:
	$(call need,$(DEB_BUILD) $(DEB_DEB))
deps-fuzz: deps
	$(call need,$(DEB_FUZZ))

install: all
	$(INSTALL) -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR) \
		$(DESTDIR)$(DOCDIR) $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSUSERSDIR) $(DESTDIR)$(SYSCONFDIR)/prilorad \
		$(DESTDIR)$(BASHDIR) $(addprefix $(DESTDIR)$(MANDIR)/man,1 5 8)
	$(INSTALL) -m 755 $(BUILD)/prilorad $(BUILD)/prilora $(DESTDIR)$(BINDIR)/
	$(INSTALL) -m 644 api/cli/prilora.1 $(DESTDIR)$(MANDIR)/man1/
	$(INSTALL) -m 644 $(MAN_CONF) $(DESTDIR)$(MANDIR)/man5/
	$(INSTALL) -m 644 daemon/prilorad.8 $(DESTDIR)$(MANDIR)/man8/
	$(INSTALL) -m 644 api/cli/prilora.bash $(DESTDIR)$(BASHDIR)/prilora
	$(INSTALL) -m 644 $(STATIC_LIB) $(DESTDIR)$(LIBDIR)/
	$(INSTALL) -m 755 $(SHARED_LIB) $(DESTDIR)$(LIBDIR)/
	ln -sf $(notdir $(SHARED_LIB)) $(DESTDIR)$(LIBDIR)/libprilora.so.$(SOVERSION)
	ln -sf $(notdir $(SHARED_LIB)) $(DESTDIR)$(LIBDIR)/libprilora.so
	$(INSTALL) -m 644 lib/prilora.h $(DESTDIR)$(INCLUDEDIR)/
	sed -e 's|@PREFIX@|$(PREFIX)|;s|@LIBDIR@|$(LIBDIR)|;s|@INCLUDEDIR@|$(INCLUDEDIR)|' \
		-e 's|@VERSION@|$(VERSION)|;s|@PACKAGES@|$(LIB_PACKAGES)|' lib/prilora.pc.in \
		>$(DESTDIR)$(LIBDIR)/pkgconfig/prilora.pc
	sed 's|@BINDIR@|$(BINDIR)|' systemd/prilorad.service.in >$(DESTDIR)$(UNITDIR)/prilorad.service
	$(INSTALL) -m 644 systemd/prilorad.socket systemd/prilorad-local.socket $(DESTDIR)$(UNITDIR)/
	$(INSTALL) -m 644 systemd/prilorad.sysusers $(DESTDIR)$(SYSUSERSDIR)/prilorad.conf
	[ -e $(DESTDIR)$(SYSCONFDIR)/prilorad/prilorad.conf ] || \
		$(INSTALL) -m 644 systemd/prilorad.conf $(DESTDIR)$(SYSCONFDIR)/prilorad/prilorad.conf
	$(INSTALL) -m 644 README.md $(DESTDIR)$(DOCDIR)/
	$(INSTALL) -m 644 api/grafana.json $(DESTDIR)$(DOCDIR)/grafana.json

uninstall:
	rm -f $(DESTDIR)$(BINDIR)/prilorad $(DESTDIR)$(BINDIR)/prilora \
		$(DESTDIR)$(MANDIR)/man1/prilora.1 $(DESTDIR)$(MANDIR)/man5/prilorad.conf.5 \
		$(DESTDIR)$(MANDIR)/man8/prilorad.8 $(DESTDIR)$(BASHDIR)/prilora \
		$(DESTDIR)$(LIBDIR)/libprilora.* \
		$(DESTDIR)$(LIBDIR)/pkgconfig/prilora.pc $(DESTDIR)$(INCLUDEDIR)/prilora.h \
		$(DESTDIR)$(UNITDIR)/prilorad.service $(DESTDIR)$(UNITDIR)/prilorad.socket \
		$(DESTDIR)$(UNITDIR)/prilorad-local.socket $(DESTDIR)$(SYSUSERSDIR)/prilorad.conf $(DESTDIR)$(DOCDIR)/README.md \
		$(DESTDIR)$(DOCDIR)/grafana.json

clean:
	rm -rf build

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile
	@echo "  make bench      the training step against what the machine can do; start, memory, requests"
	@echo "  make soak       small jobs and pollers for SOAK_SECONDS=7200: nothing may grow"
	@echo "  make torture    kills the daemon under load, KILLS=200 times, cuts its power, fails its calls"
	@echo "  make fuzz       libFuzzer binaries of every parser"
	@echo "  make dist       the sources as build/prilorad-VERSION.tar.gz"
	@echo "  make deb        Debian packages, into build; make check-deb tries them out (as root)"
	@echo "  make fuzz-long  RUNS=10000000 inputs for each of them, and a table of what came of it"
	@echo "  make static     cppcheck and clang-tidy over the tree"
	@echo "  make valgrind   unit and golden tests under valgrind"
	@echo "  make format     clang-format over the tree"
	@echo "  make deps       only installs the Debian packages"
	@echo "  make uninstall, make clean"

.PHONY: all tests check check-build torture soak fuzz fuzzers bench demo format dist deb deb-build check-deb \
	deps deps-check deps-npm deps-demo deps-deb deps-fuzz FORCE fuzz-long static valgrind valgrind-tests \
	install uninstall clean help
.DELETE_ON_ERROR:
.SECONDARY:
