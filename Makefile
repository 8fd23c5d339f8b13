# The only entry.  `make` alone prints the targets.

SHELL        := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

B            := build
CC           ?= gcc
ifeq ($(origin CC),default)
CC           := gcc
endif
CLANG        ?= clang
CFLAGS       ?= -O2 -g
PROVE_JOBS   ?= 2

WARN   := -Wall -Wextra -Wno-unused-parameter -Wformat=2 -Wshadow \
          -Wstrict-prototypes -Wmissing-prototypes -Wnull-dereference -Wvla \
          -Wimplicit-fallthrough -Werror
STRICT := $(WARN) -Wconversion -Wsign-conversion
HARDEN := -fstack-protector-strong -fPIE
ifneq ($(filter -O%,$(CFLAGS)),)
ifeq ($(filter -O0,$(CFLAGS)),)
HARDEN += -D_FORTIFY_SOURCE=2
endif
endif
DEFS   := -std=c11 -D_GNU_SOURCE= -D_FILE_OFFSET_BITS=64
INC    := -I. -Icommon -Iworker -Iworker/rule -isystem /usr/include/postgresql
SAN    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
          -fno-sanitize-recover=undefined -Wno-maybe-uninitialized

LIBS_COMMON := -lyajl -lcrypto -lm
LIBS_WORKER := -lpq -lcurl -lhiredis $(LIBS_COMMON)
LIBS_CLI    := -lpq -lcurl -largon2 $(LIBS_COMMON)

COMMON_C := $(wildcard common/*.c)
RULE_C   := $(wildcard worker/rule/*.c)
WORKER_C := $(filter-out worker/main.c, $(wildcard worker/*.c \
            worker/connector/*.c worker/job/*.c))
CLI_C    := $(wildcard cli/*.c)
UNIT_C   := $(wildcard t/unit/*.c)
UNIT_LIB := $(wildcard t/unit/lib/*.c)
FUZZ_C   := $(wildcard t/fuzz/*.c)
# those of them that read what the module reads
FUZZ_NGX := body host idempotency params route

# objects of a list of sources under one build flavour: $(call obj,plain,…)
obj = $(patsubst %.c,$(B)/$(1)/%.o,$(2))

UNIT := $(patsubst t/unit/%.c,$(B)/unit/%,$(UNIT_C))
UNIT_SAN := $(patsubst t/unit/%.c,$(B)/unit-san/%,$(UNIT_C))
FUZZ := $(patsubst t/fuzz/%.c,$(B)/fuzz/%,$(FUZZ_C))

MODULE     := bin/ngx_loyalty_module.so
MODULE_SRC := config dev/build_module.sh dev/module.map \
              $(wildcard ngx_loyalty_module/*.[ch] ngx_loyalty_module/*.inc \
              common/*.[ch])

PROGRAMS :=
ifneq ($(wildcard worker/main.c),)
PROGRAMS += bin/loyalty-worker
endif
ifneq ($(wildcard cli/main.c),)
PROGRAMS += bin/loyalty
endif
ifneq ($(wildcard config),)
PROGRAMS += $(MODULE)
endif


.PHONY: help deps build common worker cli module san run up down status test \
        unit check-quick check-unit-san check-san check-style check-fmt check-long \
        generated mutants bench cover fuzz lint fmt clean ci

help:
	@sed -n 's/^#: //p' Makefile

#: the house
#:   make run          install what is missing, build, start everything, load
#:                     the demo shop's year, follow the logs until Ctrl-C
#:   make up           the same, then return; make status; make down
#:                     LOYALTY_VAR=DIR, LOYALTY_HTTP_PORT=N,
#:                     LOYALTY_HTTPS_PORT=N, LOYALTY_DEMO=generated|FILE|none
#: building
#:   make deps         install Debian's packages that are missing
#:   make build        worker, module and command line into bin/ and build/
#:   make clean        remove what was built (not var/)
#: knowing
#:   make test         every test, under fifteen minutes
#:   make check-quick  unit tests and style, under a minute
#:   make check-san    tests of the edge and the API with worker, module and
#:                     tool under ASan and UBSan; T='t/main_year.t ...' others
#:   make check-long   long faults and models, sanitizers, every fuzz target
#:                     for SEC=60 seconds
#:   make cover        every test with counters in the C parts, in
#:                     build/cover/; lines and branches by folder
#:   make fuzz         every fuzz target for SEC=20 seconds; T=name for one
#:   make lint         compilers' analysers, cppcheck
#:   make mutants      break it on purpose; a mutant that lives is a missing test
#:                     (a sample of the rules; dev/mutants --all takes each)
#:   make bench        the figures, as ratios taken in one run
#:   make fmt          format the C sources
#:   make generated    write the generated files anew
#:   make ci           what .ci/run does

deps:
	@dev/deps

build: $(PROGRAMS)

common: $(B)/plain/libly.a
worker: bin/loyalty-worker
cli: bin/loyalty
module: $(MODULE)


MODULE_SAN := $(B)/module-asan/ngx_loyalty_module.so

# what the sanitizers watch: the unit tests, the worker, the tool, the module
san: $(UNIT_SAN) $(if $(wildcard worker/main.c),bin/loyalty-worker-san) \
     $(if $(wildcard cli/main.c),bin/loyalty-san) \
     $(if $(wildcard config),$(MODULE_SAN))


# -- libraries and programs

$(B)/plain/libly.a: $(call obj,plain,$(COMMON_C))
$(B)/plain/librule.a: $(call obj,plain,$(RULE_C))
$(B)/plain/libworker.a: $(call obj,plain,$(WORKER_C))
$(B)/san/libly.a: $(call obj,san,$(COMMON_C))
$(B)/san/librule.a: $(call obj,san,$(RULE_C))
$(B)/san/libworker.a: $(call obj,san,$(WORKER_C))
$(B)/fuzz-obj/libly.a: $(call obj,fuzz-obj,$(COMMON_C))
$(B)/fuzz-obj/librule.a: $(call obj,fuzz-obj,$(RULE_C))
$(B)/fuzz-obj/libworker.a: $(call obj,fuzz-obj,$(WORKER_C))

%.a:
	@mkdir -p $(@D)
	@rm -f $@
	@ar rcs $@ $^

bin/loyalty-worker: $(call obj,plain,worker/main.c) $(B)/plain/libworker.a \
                    $(B)/plain/librule.a $(B)/plain/libly.a
	@mkdir -p $(@D)
	@echo '  LD  $@'
	@$(CC) $(CFLAGS) -pie -Wl,-z,relro,-z,now $(LDFLAGS) -o $@ $^ $(LIBS_WORKER)

bin/loyalty: $(call obj,plain,$(CLI_C)) $(B)/plain/librule.a $(B)/plain/libly.a
	@mkdir -p $(@D)
	@echo '  LD  $@'
	@$(CC) $(CFLAGS) -pie -Wl,-z,relro,-z,now $(LDFLAGS) -o $@ $^ $(LIBS_CLI)

$(MODULE): $(MODULE_SRC)
	@echo '  MODULE  $@'
	+@dev/build_module.sh
	@touch $@

$(MODULE_SAN): $(MODULE_SRC)
	@echo '  MODULE  $@'
	+@dev/build_module.sh asan
	@touch $@

bin/loyalty-worker-san: $(call obj,san,worker/main.c) $(B)/san/libworker.a \
                    $(B)/san/librule.a $(B)/san/libly.a
	@mkdir -p $(@D)
	@echo '  LD  $@'
	@$(CC) $(SAN) -o $@ $^ $(LIBS_WORKER)

bin/loyalty-san: $(call obj,san,$(CLI_C)) $(B)/san/librule.a $(B)/san/libly.a
	@mkdir -p $(@D)
	@echo '  LD  $@'
	@$(CC) $(SAN) -o $@ $^ $(LIBS_CLI)

$(B)/plain/%.o: %.c
	@mkdir -p $(@D)
	@echo '  CC  $<'
	@$(CC) $(DEFS) $(CFLAGS) $(HARDEN) $(STRICT) $(INC) -MMD -MP -c -o $@ $<

$(B)/san/%.o: %.c
	@mkdir -p $(@D)
	@echo '  CC  $<  (sanitizers)'
	@$(CC) $(DEFS) $(SAN) $(STRICT) $(INC) -MMD -MP -c -o $@ $<

$(B)/fuzz-obj/%.o: %.c
	@mkdir -p $(@D)
	@echo '  CC  $<  (fuzz)'
	@$(CLANG) $(DEFS) -O1 -g -fsanitize=fuzzer-no-link,address,undefined \
	    -fno-sanitize-recover=undefined $(INC) -MMD -MP -c -o $@ $<

.SECONDARY:


# -- unit tests: each t/unit/NAME.c is a program that prints TAP

$(B)/unit/%: $(B)/plain/t/unit/%.o $(call obj,plain,$(UNIT_LIB)) \
             $(B)/plain/libworker.a $(B)/plain/librule.a $(B)/plain/libly.a
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) -pie $(LDFLAGS) -o $@ $^ $(LIBS_WORKER) -lm

$(B)/unit-san/%: $(B)/san/t/unit/%.o $(call obj,san,$(UNIT_LIB)) \
             $(B)/san/libworker.a $(B)/san/librule.a $(B)/san/libly.a
	@mkdir -p $(@D)
	@$(CC) $(SAN) -o $@ $^ $(LIBS_WORKER) -lm

# The module's sources as they are, with nginx's headers.  What they call of
# nginx and no target reaches stays unresolved.
NGX_SRC_DIR := $(or $(NGINX_SRC),/usr/share/nginx/src)/src
NGX_INC := -Ingx_loyalty_module -Icommon -It/fuzz $(addprefix -isystem , \
    $(NGX_SRC_DIR)/core $(NGX_SRC_DIR)/event $(NGX_SRC_DIR)/event/modules \
    $(NGX_SRC_DIR)/os/unix $(NGX_SRC_DIR)/http $(NGX_SRC_DIR)/http/modules \
    $(NGX_SRC_DIR)/http/v2 $(B)/module /usr/include/postgresql)
NGX_FUZZ_O := $(addprefix $(B)/fuzz-obj/, $(FUZZ_NGX:%=t/fuzz/%.o) \
    t/fuzz/lib/nginx.o \
    $(patsubst %.c,%.o,$(wildcard ngx_loyalty_module/*.c)))

# `config` has nginx's configure write the headers of this machine
$(NGX_FUZZ_O): $(B)/fuzz-obj/%.o: %.c | $(MODULE)
	@mkdir -p $(@D)
	@echo '  CC  $<  (fuzz)'
	@$(CLANG) -std=gnu11 -D_GNU_SOURCE= -O1 -g -w \
	    -fsanitize=fuzzer-no-link,address,undefined \
	    -fno-sanitize=nonnull-attribute,pointer-overflow \
	    -fno-sanitize-recover=undefined $(NGX_INC) -MMD -MP -c -o $@ $<

$(B)/fuzz-obj/libmodule.a: $(filter $(B)/fuzz-obj/ngx_loyalty_module/%, \
                           $(NGX_FUZZ_O))

$(FUZZ_NGX:%=$(B)/fuzz/%): $(B)/fuzz/%: $(B)/fuzz-obj/t/fuzz/%.o \
                           $(B)/fuzz-obj/t/fuzz/lib/nginx.o \
                           $(B)/fuzz-obj/libmodule.a $(B)/fuzz-obj/libly.a
	@mkdir -p $(@D)
	@$(CLANG) -fsanitize=fuzzer,address,undefined -no-pie \
	    -Wl,--unresolved-symbols=ignore-all -o $@ $^ $(LIBS_WORKER)

$(B)/fuzz/%: $(B)/fuzz-obj/t/fuzz/%.o $(B)/fuzz-obj/libworker.a \
             $(B)/fuzz-obj/librule.a $(B)/fuzz-obj/libly.a
	@mkdir -p $(@D)
	@$(CLANG) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LIBS_WORKER)

unit: $(UNIT)
	prove -j$(PROVE_JOBS) -e '' $(UNIT)

check-unit-san: $(UNIT_SAN)
	ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 \
	UBSAN_OPTIONS=print_stacktrace=1 \
	prove -j$(PROVE_JOBS) -e '' $(UNIT_SAN)

check-san: build san
	LOYALTY_ASAN=1 dev/test $(or $(T),$(wildcard t/edge_*.t t/api_*.t))


# -- the house

up: deps build
	@dev/house up

run: deps build
	@dev/house run

down:
	@dev/house down

status:
	@dev/house status || [ $$? = 3 ]

test: deps build $(UNIT)
	@dev/test

check-quick: build $(UNIT) check-style
	prove -j$(PROVE_JOBS) -e '' $(UNIT)

check-style:
	@dev/check

check-fmt:
	@dev/fmt --check

check-long: build $(UNIT_SAN) $(FUZZ)
	@dev/long $(or $(SEC),60) $(or $(T),all)

generated:
	@dev/generated

mutants: build
	@dev/mutants

$(B)/bench/load: $(B)/plain/bench/load.o $(B)/plain/libly.a
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) -pie $(LDFLAGS) -o $@ $^ $(LIBS_COMMON)

$(B)/bench/rules: $(B)/plain/bench/rules.o $(B)/plain/librule.a $(B)/plain/libly.a
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) -pie $(LDFLAGS) -o $@ $^ $(LIBS_COMMON)

bench: build $(B)/bench/load $(B)/bench/rules
	@dev/bench

cover:
	@dev/cover

fuzz: $(if $(T),$(B)/fuzz/$(T),$(FUZZ))
	@dev/fuzz $(or $(SEC),20) $(or $(T),all)

lint:
	@dev/lint

fmt:
	@dev/fmt

ci:
	@.ci/run

clean:
	rm -rf $(B) bin


-include $(shell find $(B) -name '*.d' 2>/dev/null)
