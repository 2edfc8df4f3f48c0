# arklet - build, test, measure. No configure step: `make` needs a C99 compiler and make, nothing else. `make help`.
#
# MODE selects a build: release (default), asan, ubsan, tsan, fuzz. Each MODE, architecture and compiler has a folder of
# its own below build/. CC may be a cross compiler (aarch64-linux-gnu-gcc); RUN then names the emulator for tests.

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:

ifeq ($(origin CC),default)
CC      := $(shell command -v gcc >/dev/null 2>&1 && echo gcc || echo cc)
endif
ifeq ($(origin AR),default)
AR      := $(if $(findstring -gcc,$(notdir $(CC))),$(subst -gcc,-ar,$(CC)),ar)
endif
Q       := $(if $(V),,@)
SAY      = @$(if $(V),:,echo "  $@")
MODE    ?= release
RUN     ?=
ONLY    ?=
PREFIX  ?= /usr/local
DATA    ?= ../shared/data

ARCH    := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
ARCH    := $(patsubst arm64%,aarch64,$(patsubst amd64,x86_64,$(ARCH)))
BUILD   := build/$(MODE)-$(ARCH)$(if $(findstring clang,$(CC)),-clang)

WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
           -Wundef -Wpointer-arith -Wwrite-strings -Wvla
# The arithmetic contract (include/kernels.h): no contraction, no reassociation. The last two flags change no
# value: we read neither errno nor exception flags after floating-point work, and loops vectorise without them.
FLOAT   := -ffp-contract=off -fno-math-errno -fno-trapping-math
SAN_release :=
SAN_asan    := -fsanitize=address
SAN_ubsan   := -fsanitize=undefined -fno-sanitize-recover=all
SAN_tsan    := -fsanitize=thread
SAN_fuzz    := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
ifndef SAN_$(MODE)
ifneq ($(MODE),release)
$(error MODE is release, asan, ubsan, tsan or fuzz, not '$(MODE)')
endif
endif
SAN     := $(SAN_$(MODE))
OPT     := $(if $(SAN),-O1 -g -fno-omit-frame-pointer,-O3 -g1)
ifeq ($(findstring clang,$(CC)),)
WARN    += $(if $(SAN),-Wno-maybe-uninitialized) # false alarms of gcc at this level
WARN_TESTS := -Wno-format-truncation # the messages of CHECK_MSG may be cut
else
WARN    += -Wno-string-concatenation # "\xC3" "abc" is how a hexadecimal escape ends
endif
CFLAGS  ?=
ALL_CFLAGS := -std=c99 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -D_DARWIN_C_SOURCE $(WARN) $(FLOAT) $(OPT) $(SAN) \
              -Iinclude $(CFLAGS)
LDLIBS  := -lpthread -lm

# Tiers: the files of one instruction set, and the sources of LANES once per vector width (their names' endings differ).
LANES   := rows gradients pack_panel
AVX2_FLAGS   := -mavx2 -mfma -mf16c
AVX512_FLAGS := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni $(AVX2_FLAGS) -mprefer-vector-width=512
ROWS    := scalar
ifeq ($(ARCH),x86_64)
TIERS   := $(wildcard quant/avx*.c)
ROWS    += avx2 avx512
else ifeq ($(ARCH),aarch64)
TIERS   := $(wildcard quant/neon*.c)
ROWS    += neon
endif

LIB_SRC  := $(filter-out $(LANES:%=quant/%.c) quant/avx% quant/neon%,$(wildcard quant/*.c)) $(TIERS) \
            $(wildcard src/base/*.c src/nn/*.c src/model/*.c src/ark/*.c)
LIB_OBJ  := $(LIB_SRC:%.c=$(BUILD)/%.o) $(foreach w,$(ROWS),$(LANES:%=$(BUILD)/quant/%_$(w).o))
CMD_OBJ  := $(patsubst %.c,$(BUILD)/%.o,$(wildcard src/cmd/*.c))
REF_OBJ  := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/ref/*.c))
TEST_SRC := $(wildcard tests/test_*.c)
ifeq ($(MODE),tsan)
TEST_SRC := $(shell grep -l pool_create $(TEST_SRC) /dev/null) # the others have no second thread
endif
ifneq ($(ONLY),)
TEST_SRC := $(filter $(ONLY:%=tests/test_%.c),$(TEST_SRC))
endif
LIB      := $(BUILD)/libarklet.a
CMD_LIB  := $(BUILD)/libcommands.a
TESTS    := $(TEST_SRC:%.c=$(BUILD)/%)
FUZZ     := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
REPLAYS  := $(FUZZ:%=$(BUILD)/tests/fuzz/replay_%)
# Objects that only pattern rules mention would otherwise be deleted after the link.
TEST_OBJ := $(TESTS:=.o) $(FUZZ:%=$(BUILD)/tests/fuzz/fuzz_%.o) $(BUILD)/tests/fuzz/replay.o

.PHONY: always all lib program build-tests test walk test-data check check-asan check-ubsan check-tsan check-valgrind check-arm \
        bench demo experiment world results fuzz-replay $(FUZZ:%=fuzz-%) install help clean format
.SECONDARY: $(TEST_OBJ)
.DELETE_ON_ERROR:

all: program
	@ln -sf $(BUILD)/arklet arklet

lib: $(LIB)
program: $(BUILD)/arklet
build-tests: $(TESTS) $(if $(ONLY),,$(REPLAYS))

$(BUILD)/arklet: $(CMD_OBJ) $(LIB)
	$(SAY)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(CMD_OBJ) $(LIB) $(LDLIBS)

$(LIB): $(LIB_OBJ)
	@rm -f $@
	$(SAY)
	$(Q)$(AR) rcs $@ $(LIB_OBJ)

$(CMD_LIB): $(filter-out $(BUILD)/src/cmd/main.o $(BUILD)/src/cmd/cmd_%,$(CMD_OBJ))
	@rm -f $@
	$(SAY)
	$(Q)$(AR) rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Where the demo looks for its models; built anew when that changes.
$(BUILD)/prefix: always
	@mkdir -p $(@D)
	@echo '$(PREFIX)' | cmp -s - $@ || echo '$(PREFIX)' >$@
$(BUILD)/src/cmd/cmd_demo.o: $(BUILD)/prefix
$(BUILD)/src/cmd/cmd_demo.o: ALL_CFLAGS += -DARKLET_SHARE='"$(PREFIX)/share/arklet"'
$(BUILD)/quant/avx2%o: ALL_CFLAGS += $(AVX2_FLAGS)
$(BUILD)/quant/avxvnni%o: ALL_CFLAGS += $(AVX2_FLAGS) -mavxvnni
$(BUILD)/quant/avx512%o: ALL_CFLAGS += $(AVX512_FLAGS)
$(BUILD)/quant/neondot%o: ALL_CFLAGS += -march=armv8.2-a+dotprod
# One rule per source of LANES and vector width.
define lanes_rule
$$(BUILD)/quant/$(1)_$(2).o: ALL_CFLAGS += $$(LANES_FLAGS_$(2)) -DROWS_TABLE=rows_$(2) -DROWS_NAME='"$(2)"' \
    -DGRADIENTS_TABLE=gradients_$(2) -DPACK_DECODE_PANEL=pack_decode_panel_$(2) -DPANEL_VALUES=panel_values_$$(PANEL_VALUES_$(2))
$$(BUILD)/quant/$(1)_$(2).o: quant/$(1).c
	@mkdir -p $$(@D)
	$$(SAY)
	$$(Q)$$(CC) $$(ALL_CFLAGS) -MMD -MP -c -o $$@ $$<
endef
PANEL_VALUES_scalar := plain
PANEL_VALUES_neon   := plain
PANEL_VALUES_avx2   := avx2
PANEL_VALUES_avx512 := avx2
LANES_FLAGS_avx2   := $(AVX2_FLAGS)
LANES_FLAGS_avx512 := $(AVX512_FLAGS)
$(foreach w,$(ROWS),$(foreach f,$(LANES),$(eval $(call lanes_rule,$(f),$(w)))))

# Tests at -O2: faster to build, and gcc 12 for AArch64 fails on one of them when it vectorises.
$(BUILD)/tests/%.o: ALL_CFLAGS += -Itests -Isrc/cmd $(WARN_TESTS) $(if $(SAN),,-O2 -fno-tree-vectorize)
$(TESTS): $(BUILD)/tests/%: $(BUILD)/tests/%.o $(REF_OBJ) $(CMD_LIB) $(LIB)
	$(SAY)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# One line per test, then "N passed, N failed"; the exit status is the verdict.
TEST_ENV = CC="$(CC)" BUILD="$(BUILD)" LIB="$(LIB)" ARKLET="$(BUILD)/arklet" RUN="$(RUN)" MODE="$(MODE)" ONLY="$(ONLY)"
test: build-tests $(if $(ONLY),,lib world results $(if $(filter release$(RUN),$(MODE)),all,program))
	@$(TEST_ENV) sh tests/run.sh $(TESTS) $(if $(ONLY),,$(REPLAYS))

check: test

# From a line of a debate to an updated adapter, with the numbers of every stop (README.md, "Read the code").
walk:
	@$(MAKE) --no-print-directory ONLY="walk walk_reward" build-tests
	@$(BUILD)/tests/test_walk show
	@$(BUILD)/tests/test_walk_reward show

# The checks against real data; without the folder they say so and do nothing.
test-data: program build-tests
	@$(TEST_ENV) DATA="$(DATA)" sh tests/run_data.sh

check-asan check-ubsan check-tsan: check-%:
	$(MAKE) MODE=$* test

check-valgrind:
	$(MAKE) RUN="valgrind -q --error-exitcode=99 --leak-check=full" QUICK=1 test

# Cross-compiled for AArch64 and run under qemu-user: with every feature, and, for the tests that reach the kernels, as
# a Cortex-A72, which has no sdot.
A72_TESTS := kernels rows gradient_kernels pack half elementary forward backward batch
ARM_CC ?= aarch64-linux-gnu-gcc
QEMU   ?= qemu-aarch64 -L /usr/aarch64-linux-gnu
check-arm:
	$(MAKE) CC=$(ARM_CC) RUN="$(QEMU) -cpu max" QUICK=1 test
	$(MAKE) CC=$(ARM_CC) RUN="$(QEMU) -cpu cortex-a72" QUICK=1 ONLY="$(A72_TESTS)" test

export QUICK

bench: all
	@sh tests/bench/run.sh

# The whole loop on the models of fixtures/demo, in ten minutes on two cores; what is complete in the folder is kept.
demo: all
	@./arklet demo --fixtures fixtures -o build/demo

# Each tests/fuzz/fuzz_NAME.c is a libFuzzer target (clang). The same file linked with replay.c feeds it the corpus
# fixtures/fuzz/NAME and small changes of it, with any compiler; `make test` does that too.
FUZZ_BUILD := build/fuzz-$(ARCH)-clang
ifeq ($(MODE),fuzz)
$(BUILD)/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(LIB)
	$(SAY)
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)
endif
$(FUZZ:%=fuzz-%): fuzz-%:
	$(MAKE) CC=clang MODE=fuzz $(FUZZ_BUILD)/fuzz_$*
	@mkdir -p $(FUZZ_BUILD)/corpus-$*
	$(FUZZ_BUILD)/fuzz_$* -max_total_time=$(or $(SECONDS_PER_TARGET),60) -rss_limit_mb=2048 \
	    -artifact_prefix=$(FUZZ_BUILD)/ $(FUZZ_BUILD)/corpus-$* $(wildcard fixtures/fuzz/$*)

$(REPLAYS): $(BUILD)/tests/fuzz/replay_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/replay.o $(LIB)
	$(SAY)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The world of problems that the models of fixtures/ learn (tests/world/).
WORLD_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/world/*.c))
world: $(BUILD)/world
$(BUILD)/world: $(WORLD_OBJ) $(LIB)
	$(SAY)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The controlled experiment: three seeds, all controls, ablations, about four hours on two cores; goes on where it stopped.
# FAST=1: a few questions. RUN_FOLDER: where it works; results go to fixtures/results (FAST: into the folder itself).
RESULTS_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/experiment/*.c))
RUN_FOLDER  ?= build/experiment$(if $(FAST),-fast)
results: $(BUILD)/results
$(BUILD)/results: $(RESULTS_OBJ) $(LIB)
	$(SAY)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
experiment: all world results
	@FAST="$(FAST)" ARKLET="$(BUILD)/arklet" WORLD="$(BUILD)/world" RESULTS="$(BUILD)/results" \
	    sh tests/experiment/experiment.sh $(RUN_FOLDER) $(if $(FAST),$(RUN_FOLDER)/results,fixtures/results)

fuzz-replay: $(REPLAYS)
	@$(TEST_ENV) sh tests/run.sh $(REPLAYS)

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/arklet
	install -m 755 $(BUILD)/arklet $(DESTDIR)$(PREFIX)/bin/arklet
	cp -R fixtures/demo $(DESTDIR)$(PREFIX)/share/arklet/

format:
	clang-format -i $(wildcard include/*.h quant/*.[ch] src/*/*.[ch] tests/*.[ch] tests/*/*.[ch])

clean:
	rm -rf build arklet

help:
	@echo "make                 build ./arklet (MODE=release|asan|ubsan|tsan, CC=gcc|clang|a cross compiler)"
	@echo "                     V=1 shows the commands; CFLAGS and LDFLAGS are added to them"
	@echo "make lib             the static library alone: $(LIB)"
	@echo "make test            all tests, offline, no dependency; ends with 'N passed, N failed'"
	@echo "                     ONLY='json pool' runs tests/test_json.c and tests/test_pool.c; QUICK=1 fewer cases"
	@echo "make walk             from a line of a debate to a reinforced adapter, with the numbers of every stop"
	@echo "make test-data       checks against real data in DATA=$(DATA)"
	@echo "make check-asan      the tests under AddressSanitizer; check-ubsan, check-tsan, check-valgrind alike"
	@echo "make check-arm       the tests cross-compiled for AArch64 under qemu-user"
	@echo "make bench           the speed tables"
	@echo "make demo            debate, distil, reinforce, evaluate small models, in ten minutes"
	@echo "make fuzz-NAME       fuzz one parser with clang for SECONDS_PER_TARGET=60: $(FUZZ)"
	@echo "make fuzz-replay     feed all fuzz targets their corpus, with any compiler"
	@echo "make world           the generator of problems: $(BUILD)/world"
	@echo "make experiment      the controlled experiment, about four hours, goes on where it stopped; FAST=1 minutes"
	@echo "make install         to PREFIX=$(PREFIX)"
	@echo "make format, clean   clang-format the tree; remove build products"

DEPS := $(LIB_OBJ:.o=.d) $(CMD_OBJ:.o=.d) $(REF_OBJ:.o=.d) $(TEST_OBJ:.o=.d) $(WORLD_OBJ:.o=.d) $(RESULTS_OBJ:.o=.d)
$(DEPS): ;
-include $(DEPS)
