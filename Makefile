# cellmatch: build, test, install.  One file, no recursion but one: targets that need installed
# packages are run by a second make after `deps`, so that `make deps check` works on a bare machine
# (pkg-config is asked only there), also with -j.
#
#   make deps demo          install what is missing, build, run the pipeline on generated cells
#   make deps check         the same and what the tests need; builds run on all processors
#   make MODE=asan check    release (default) asan ubsan tsan cov
# `make help` lists the targets.

MODE ?= release
PREFIX ?= /usr/local
prefix ?= $(PREFIX)
bindir ?= $(prefix)/bin
libexecdir ?= $(prefix)/libexec
libdir ?= $(prefix)/lib
includedir ?= $(prefix)/include
datadir ?= $(prefix)/share
mandir ?= $(datadir)/man
completiondir ?= $(datadir)/bash-completion/completions
zshdir ?= $(datadir)/zsh/site-functions
fishdir ?= $(datadir)/fish/vendor_completions.d
# The one place of the version; what must repeat it is compared by tests/cli/install.bats.
VERSION := 0.1.0
BUILD := build/$(MODE)

DEPS := gcc make pkg-config libc6-dev libhdf5-dev libopenblas-pthread-dev libzstd-dev zstd \
	libxxhash-dev librandom123-dev liblzf-dev libisal-dev zlib1g-dev libpng-dev
DEPS_CHECK := libcmocka-dev bats mandoc g++ time
DEPS_LINT := clang-format clang-tidy cppcheck shellcheck
DEPS_DEV := python3-numpy python3-scipy python3-sklearn python3-anndata python3-h5py python3-torch \
	python3-faiss python3-pot clang libclang-rt-14-dev valgrind libxml2-utils \
	zsh fish busybox original-awk debootstrap buildah \
	snakemake r-base-core python3-html5lib

TOOLS := $(patsubst bin/%.c,%,$(wildcard bin/*.c))
LIB_SRC := $(wildcard lib/*/*.c lib/*/*/*.c)
UNIT := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*.c))
# Tests of gradients work in double: what computes in cm_real is built a second time for them, and
# what knows it as float only is kept out of their library, so that the two never meet.
UNIT_DOUBLE := $(patsubst tests/unit/%.c,%,\
	$(shell grep -l '^.define CM_REAL_DOUBLE' tests/unit/*.c))
REAL_SRC := $(wildcard lib/nn/*.c lib/network/*.c lib/network/*/*.c) \
	$(patsubst %,lib/baselines/%.c,clue clue_encoder deep) \
	$(patsubst %,lib/links/%.c,weights contrast factored product)
FLOAT_SRC := $(filter-out $(REAL_SRC),$(wildcard lib/baselines/*.c lib/train/*.c lib/cli/*.c)) \
	lib/model/model.c lib/model/embed.c $(filter-out $(REAL_SRC),$(wildcard lib/links/*.c))
BENCH := $(patsubst tests/bench/%.c,%,$(wildcard tests/bench/*.c))
FUZZERS := $(filter-out replay,$(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c)))
SOURCES := $(filter-out tests/template/%,$(wildcard lib/*/*.[ch] lib/*/*/*.[ch] bin/*.c \
	tests/*/*.[ch]))
MAKEFLAGS += --no-builtin-rules

# A sanitizer build keeps its tools under build/, so that bin/ always holds the release.
ifeq ($(MODE),release)
BINDIR := bin
TOP := ..
else
BINDIR := $(BUILD)/bin
TOP := ../../..
endif

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wcast-qual -Wwrite-strings -Wvla -Wformat=2 -Wundef
MODE_release := -O2 -g
# asan includes ubsan: one run of the tests finds both.
MODE_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
MODE_ubsan := -O1 -g -fsanitize=undefined -fno-sanitize-recover=all
MODE_tsan := -O1 -g -fsanitize=thread
MODE_cov := -O0 -g --coverage
# What tests/fuzz runs under libFuzzer; only clang has it.
MODE_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address -fno-omit-frame-pointer
PKG_CONFIG ?= pkg-config
# Debian has HDF5 with and without MPI; elsewhere it goes by its plain name.
PACKAGES = openblas $(HDF5) libzstd libxxhash liblzf libisal zlib libpng
HDF5 = $(eval HDF5 := $(shell $(PKG_CONFIG) --exists hdf5-serial 2>/dev/null && \
	echo hdf5-serial || echo hdf5))$(HDF5)
PKG_CFLAGS = $(eval PKG_CFLAGS := \
	$(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null))$(PKG_CFLAGS)
PKG_LIBS = $(eval PKG_LIBS := $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null))$(PKG_LIBS)
# CC, CPPFLAGS, CFLAGS and LDFLAGS count from the command line and from the environment.
ifneq ($(filter default undefined,$(origin CC))$(filter fuzz,$(MODE)),)
CC := $(if $(filter fuzz,$(MODE)),clang,gcc)
endif
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE $(VERSION_FLAG) -Ilib $(WARN) $(MODE_$(MODE)) \
	-pthread -MMD -MP $(PKG_CFLAGS) $(CPPFLAGS) $(CFLAGS)
ALL_LDFLAGS = $(MODE_$(MODE)) -pthread -Wl,--as-needed $(LDFLAGS)
LIBS = $(PKG_LIBS) -lm

.PHONY: check-dirs all build unit build-now unit-now deps deps-check deps-lint deps-dev demo check \
	check-long bench fuzz fuzz-now install install-strip install-now uninstall dist \
	format format-check new help \
	clean lint analyze tests-can-run FORCE
.DELETE_ON_ERROR:
.SUFFIXES:

# Goals of one invocation run one after the other, also with -j: nothing of the build starts before
# deps is done, and no two makes build the same file.  What each starts runs in parallel.
CHAIN := clean deps deps-check deps-lint deps-dev all build unit demo check check-long bench \
	install install-strip
before :=
$(foreach g,$(filter $(MAKECMDGOALS),$(CHAIN)),$(eval $(g): | $(before))$(eval before += $(g)))

# A build runs on all processors, unless the user says otherwise with -j.
PARALLEL = --no-print-directory $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))
all build: ; @$(MAKE) $(PARALLEL) build-now
unit: ; @$(MAKE) $(PARALLEL) unit-now
build-now: $(TOOLS:%=$(BINDIR)/%) $(BINDIR)/cellmatch
BREAKERS := $(patsubst %,$(BUILD)/tests/faults/%,cmsbreak h5mutate h5edit)
unit-now: tests-can-run build-now $(UNIT:%=$(BUILD)/tests/unit/%) $(BREAKERS) \
	$(BUILD)/tests/faults/iofault.so fuzz-now
fuzz-now: $(FUZZERS:%=$(BUILD)/tests/fuzz/%)
tests-can-run:
	@$(PKG_CONFIG) --exists cmocka && command -v bats >/dev/null && command -v mandoc >/dev/null || \
		{ echo "make: the tests need cmocka, bats, mandoc; 'make deps-check' installs them" >&2; exit 1; }

# `deps` is what building and running need; beside a goal that tests, also what the tests need.
TESTING := $(filter unit check check-long,$(MAKECMDGOALS))
deps: ; @sh tests/deps.sh $(DEPS) $(if $(TESTING),$(DEPS_CHECK))
deps-check: ; @sh tests/deps.sh $(DEPS) $(DEPS_CHECK)
deps-lint: ; @sh tests/deps.sh $(DEPS) $(DEPS_CHECK) $(DEPS_LINT)
deps-dev: ; @sh tests/deps.sh $(DEPS) $(DEPS_CHECK) $(DEPS_LINT) $(DEPS_DEV)

# V=1 shows whole commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %s\n' '$1')

# ---- objects -------------------------------------------------------------------------------
# An installation takes what was built of this version as it is: `make CFLAGS=-O3`, and then
# `sudo make install` compiles nothing, whatever the flags of root.
VERSION_FLAG := -DCM_VERSION='"$(VERSION)"'
ifneq ($(and $(KEEP_FLAGS),$(findstring $(VERSION_FLAG),$(file <$(BUILD)/flags))),)
$(BUILD)/flags: ;
else
$(BUILD)/flags: FORCE
	@$(PKG_CONFIG) --exists $(PACKAGES) 2>/dev/null || \
		{ echo "make: libraries are missing; 'make deps' installs them" >&2; exit 1; }
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(LIBS))' >$@.new; \
	cmp -s $@.new $@ && rm $@.new || mv $@.new $@
endif
FORCE:

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,cc $<)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

LIB := $(BUILD)/libcellmatch.a
$(LIB): $(LIB_SRC:%.c=$(BUILD)/%.o)
	$(call say,ar $@)
	@rm -f $@
	$(Q)$(AR) rcsD $@ $^

$(BUILD)/double/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,cc $< (double))
	$(Q)$(CC) $(ALL_CFLAGS) -DCM_REAL_DOUBLE -c -o $@ $<

LIB_DOUBLE := $(BUILD)/libcellmatch-double.a
$(LIB_DOUBLE): $(REAL_SRC:%.c=$(BUILD)/double/%.o) \
		$(patsubst %.c,$(BUILD)/%.o,$(filter-out $(REAL_SRC) $(FLOAT_SRC),$(LIB_SRC)))
	$(call say,ar $@)
	@rm -f $@
	$(Q)$(AR) rcsD $@ $^

$(TOOLS:%=$(BINDIR)/%): $(BINDIR)/%: $(BUILD)/bin/%.o $(LIB)
	@mkdir -p $(@D)
	$(call say,ld $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(foreach t,$(UNIT),$(eval $(BUILD)/tests/unit/$t: \
	$(if $(filter $t,$(UNIT_DOUBLE)),$(LIB_DOUBLE),$(LIB))))
$(UNIT:%=$(BUILD)/tests/unit/%): $(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o
	$(call say,ld $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) -lcmocka

# The dispatcher of the source tree finds its tools, pipelines and pages from where it stands.
$(BINDIR)/cellmatch: pipelines/cellmatch.in $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,sed $@)
	$(Q)sed -e 's|@libexecdir@/cellmatch|$$here|' -e 's|@datadir@/cellmatch|$$here/$(TOP)|' \
		-e 's|@mandir@|$$here/$(TOP)/man|' -e 's|@version@|$(VERSION)|' $< >$@
	@chmod 755 $@

# They break streams and HDF5 files for the fault tests, and know nothing of lib/.
$(BREAKERS): %: %.o
	$(call say,ld $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# Preloaded into tools, which a sanitizer does not allow: the tests skip it there.
$(BUILD)/tests/faults/iofault.so: tests/faults/iofault.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,cc $<)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -O1 -fPIC -shared $(WARN) -o $@ $<

$(BENCH:%=$(BUILD)/tests/bench/%): $(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(LIB)
	$(call say,ld $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# A fuzz target brings no main: libFuzzer has one, and replay.c, which runs the corpus in `check`.
FUZZ_MAIN := $(if $(filter fuzz,$(MODE)),,$(BUILD)/tests/fuzz/replay.o)
$(FUZZERS:%=$(BUILD)/tests/fuzz/%): $(BUILD)/tests/fuzz/%: \
		$(BUILD)/tests/fuzz/%.o $(FUZZ_MAIN) $(LIB)
	$(call say,ld $@)
	$(Q)$(CC) $(ALL_LDFLAGS) $(if $(FUZZ_MAIN),,-fsanitize=fuzzer) -o $@ $^ $(LIBS)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# ---- what people ask for -------------------------------------------------------------------
demo: ; @$(MAKE) $(PARALLEL) build-now && \
	PATH="$(CURDIR)/$(BINDIR):$$PATH" pipelines/demo.sh build/demo

# TOOL=x: what belongs to one tool
check:
	@$(if $(filter-out $(TOOLS),$(TOOL)),echo "make: no tool '$(TOOL)'; tools: $(TOOLS)" >&2; exit 2)
	@$(MAKE) $(PARALLEL) unit-now && MODE=$(MODE) tests/run $(if $(TOOL),--tool $(TOOL))
check-long: ; @$(MAKE) $(PARALLEL) unit-now && MODE=$(MODE) tests/run --long
bench: ; @$(MAKE) $(PARALLEL) build-now $(BENCH:%=$(BUILD)/tests/bench/%) && \
	MODE=$(MODE) tests/bench/run

# FUZZ=NAME... TIME=SECONDS (of each)
FUZZ ?= $(FUZZERS)
TIME ?= 60
fuzz: ; @$(MAKE) $(PARALLEL) MODE=fuzz fuzz-now && \
	for t in $(FUZZ); do tests/fuzz/run fuzz $$t $(TIME) || exit 1; done

format: ; @clang-format -i $(SOURCES)
format-check: ; @clang-format --dry-run --Werror $(SOURCES)
lint: ; tests/lint
# gcc -fanalyzer and clang-tidy; minutes, therefore not in `lint` but in `check-long`
analyze: ; tests/analyze

new: ; @tests/template/new $(TOOL)

# The tools stand in libexec, because the package `at` owns `batch`; `cellmatch` finds them.  Their
# pages stand beside the pipelines for the same reason, and `cellmatch help` finds them there.
SUBST = sed -e 's|@prefix@|$(prefix)|g' -e 's|@libexecdir@|$(libexecdir)|g' \
	-e 's|@datadir@|$(datadir)|g' -e 's|@mandir@|$(mandir)|g' -e 's|@libdir@|$(libdir)|g' \
	-e 's|@includedir@|$(includedir)|g' -e 's|@version@|$(VERSION)|g'
D = $(DESTDIR)
share = $(D)$(datadir)/cellmatch
STRIP :=
PIPELINES := find pipelines \( -name packaging -o -name __pycache__ \) -prune -o
HEADERS := stream/cms.h cli/cli.h base/error.h base/strs.h matrix/matrix.h
# A recipe is text of a shell: rm -rf of a name with a blank would be of two names.
dirs = bindir libexecdir libdir includedir datadir mandir completiondir zshdir fishdir
bad = '^~|[^A-Za-z0-9_.,:+=@%~/^-]'
check-dirs:
	@for d in $(foreach d,$(dirs) DESTDIR,'$(d)=$(subst ','"'"',$($(d)))'); do \
		n=$${d%%=*} v=$${d#*=}; \
		[ $$n = DESTDIR ] || [ "$${v#/}" != "$$v" ] || \
			{ echo "make: $$n: expected a path from /, found '$$v'" >&2; exit 2; }; \
		printf '%s' "$$v" | LC_ALL=C grep -Eq $(bad) || continue; \
		echo "make: $$n: expected a path of letters, digits and _.,:+=@%~/^-, found '$$v'" >&2; \
		exit 2; \
	done
install-strip: STRIP := -s
install install-strip: check-dirs
	@umask 022 && $(MAKE) $(PARALLEL) KEEP_FLAGS=1 build-now && \
		$(MAKE) --no-print-directory KEEP_FLAGS=1 STRIP='$(STRIP)' install-now
install-now:
	install -d $(D)$(bindir) $(D)$(libexecdir)/cellmatch $(D)$(libdir)/pkgconfig \
		$(addprefix $(D)$(includedir)/cellmatch/,$(sort $(dir $(HEADERS)))) \
		$(D)$(completiondir) $(D)$(zshdir) $(D)$(fishdir) \
		$(addprefix $(share)/man/man,1 3 5 7) $(addprefix $(D)$(mandir)/man,1 3 5 7)
	$(if $(TOOLS),install $(STRIP) $(TOOLS:%=$(BINDIR)/%) $(D)$(libexecdir)/cellmatch)
	install -m 644 $(LIB) $(D)$(libdir)
	for h in $(HEADERS); do \
		install -m 644 lib/$$h $(D)$(includedir)/cellmatch/$$h || exit 1; done
	for p in man/*.[1357]; do s=man$${p##*.}; install -m 644 $$p $(share)/man/$$s && \
		{ [ $$s = man1 ] || install -m 644 $$p $(D)$(mandir)/$$s; } || exit 1; done
	ln -sf ../man7/cellmatch.7 $(D)$(mandir)/man1/cellmatch.1
	$(PIPELINES) -type d -printf '%P\n' | while read -r d; do \
		install -d $(share)/pipelines/"$$d" || exit 1; done
	$(PIPELINES) -type f ! -name '*.in' ! -name 'completion.*' -printf '%m %P\n' | \
		while read -r m f; do case $$m in 7*) m=755 ;; *) m=644 ;; esac; \
		install -m $$m pipelines/"$$f" $(share)/pipelines/"$$f" || exit 1; done
	$(PIPELINES) -type l -printf '%P\n' | while read -r f; do \
		cp -Pf pipelines/"$$f" $(share)/pipelines/"$$f" || exit 1; done
	$(SUBST) pipelines/cellmatch.in >$(D)$(bindir)/cellmatch
	chmod 755 $(D)$(bindir)/cellmatch
	$(SUBST) pipelines/cellmatch.pc.in >$(D)$(libdir)/pkgconfig/cellmatch.pc
	chmod 644 $(D)$(libdir)/pkgconfig/cellmatch.pc
	install -m 644 pipelines/completion.bash $(D)$(completiondir)/cellmatch
	install -m 644 pipelines/completion.zsh $(D)$(zshdir)/_cellmatch
	install -m 644 pipelines/completion.fish $(D)$(fishdir)/cellmatch.fish

uninstall: check-dirs
	rm -f $(D)$(bindir)/cellmatch $(D)$(completiondir)/cellmatch $(D)$(zshdir)/_cellmatch \
		$(D)$(fishdir)/cellmatch.fish $(D)$(libdir)/libcellmatch.a \
		$(D)$(libdir)/pkgconfig/cellmatch.pc $(D)$(mandir)/man1/cellmatch.1
	rm -rf $(D)$(libexecdir)/cellmatch $(share) $(D)$(includedir)/cellmatch
	for p in man/*.[357]; do rm -f $(D)$(mandir)/man$${p##*.}/$${p##*/}; done

dist:
	git archive --prefix=cellmatch-$(VERSION)/ -o cellmatch-$(VERSION).tar.gz HEAD

clean: ; rm -rf build $(TOOLS:%=bin/%) bin/cellmatch

help:
	@printf '%s\n' \
	'make deps        install the packages for the build (Debian, Ubuntu); beside check or unit,' \
	'                 as in `make deps check`, also those of the tests' \
	'make deps-check  the packages of build and tests; deps-lint: and the linters' \
	'make deps-dev    all of these, the oracles of the fixtures, clang for the fuzzers, and shells' \
	'                 and package builders that some tests ask for' \
	'make all         build every tool into bin/, on all processors unless -j says otherwise' \
	'make check       all tests, under 5 minutes; ends with "N passed, N failed"' \
	'make check TOOL=x  what belongs to one tool, in seconds' \
	'make check-long  the same with the real data and the slow laws' \
	'make bench       one table: speed and memory beside other programs and the hardware limits' \
	'make fuzz        fuzz targets of tests/fuzz: FUZZ=NAME TIME=SECONDS (clang)' \
	'make demo        the whole pipeline on generated cells; build/demo/report.html' \
	'make install     prefix=/usr/local DESTDIR=    make uninstall takes it away; install-strip' \
	'make dist        a source archive' \
	'make format-check, lint, analyze (gcc -fanalyzer, clang-tidy; part of check-long)' \
	'make new TOOL=x  a new tool that works, with its library file, manual page and tests' \
	'MODE=release|asan|ubsan|tsan|cov  CFLAGS=...  V=1 (whole commands)'
