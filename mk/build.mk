# Archives, programs and test programs. An archive is a folder's objects; a program takes from the archives what it
# needs.

WARNINGS := -Wall -Wextra -Wpedantic -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wundef -Wvla
CFLAGS_ALL := -std=c11 -g -I. -fPIE -fstack-protector-strong -fno-common $(WARNINGS)
LDFLAGS_ALL := -pie -Wl,-z,relro,-z,now -Wl,--as-needed
ifeq ($(SAN),1)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_ALL += -O1 $(SANITIZE)
LDFLAGS_ALL += $(SANITIZE)
else
CFLAGS_ALL += -O2 -D_FORTIFY_SOURCE=2
endif
CFLAGS_ALL += $(CFLAGS)
LDFLAGS_ALL += $(LDFLAGS)
LDLIBS_ALL := -lev -lhiredis -lconfig -lsqlite3 -ljansson -lyaml -lsystemd -lpthread -lm
comma := ,
# The sanitizers must see every allocation, so only the plain build of the node has jemalloc. It is linked in: its
# shared library brings the one of C++ along, a fifth of the memory that an idle node is to have.
LDLIBS_NODED := -llzf $(if $(filter 1,$(SAN)),,-static-libgcc -l:libjemalloc_pic.a -lm)

# Sources of a folder and its direct subfolders.
sources = $(sort $(wildcard $1/*.c $1/*/*.c))
objects = $(patsubst %.c,$(BUILD)/obj/%.o,$1)

BASE_SRC := $(call sources,common/base)
RESP_SRC := $(call sources,common/resp)
CORE_SRC := $(call sources,sentineld/core)
IO_SRC := $(call sources,common/io)
SHELL_SRC := $(call sources,sentineld/shell)
NODECTL_SRC := $(filter-out nodectl/main.c,$(call sources,nodectl))
STORE_SRC := $(call sources,noded/store)
CMD_SRC := $(call sources,noded/cmd)
REPL_SRC := $(call sources,noded/repl)
CLUSTER_SRC := $(call sources,noded/cluster)
NODED_SRC := $(filter-out noded/main.c $(STORE_SRC) $(CMD_SRC) $(REPL_SRC) $(CLUSTER_SRC),$(call sources,noded))
TEST_SUPPORT_SRC := $(wildcard tests/unit/support/*.c)
# One runner of seeds for all simulators.
RUNNER_SRC := $(call sources,tests/runner)
MIGRATION_SRC := $(call sources,tests/migration)
SIM_SRC := $(call sources,tests/sim) $(RUNNER_SRC)
BUS_SRC := $(call sources,tests/bus) $(MIGRATION_SRC) tests/virtual/time.c $(RUNNER_SRC)
FLEET_SRC := $(call sources,tests/fleet) $(MIGRATION_SRC) $(call sources,tests/virtual) $(RUNNER_SRC)
UNIT_SRC := $(sort $(wildcard tests/unit/*/test_*.c tests/unit/*/*/test_*.c))

# Pure code sees C11 and nothing else: without _GNU_SOURCE a system call doesn't even have a declaration.
PURE_SRC := $(BASE_SRC) $(RESP_SRC) $(CORE_SRC) $(STORE_SRC) $(CMD_SRC) $(REPL_SRC) $(CLUSTER_SRC)

ARCHIVES := $(addprefix $(BUILD)/lib/,base.a resp.a core.a io.a shell.a nodectl.a store.a cmd.a repl.a \
	cluster.a noded.a test.a)
PURE_ARCHIVES := $(addprefix $(BUILD)/lib/,base.a resp.a core.a store.a cmd.a repl.a cluster.a)

PROGRAMS := $(foreach p,sentineld nodectl noded,$(if $(wildcard $p/main.c),$(BUILD)/$p))
UNIT_TESTS := $(patsubst %.c,$(BUILD)/%,$(UNIT_SRC))
SIM := $(if $(SIM_SRC),$(BUILD)/sim)
BUS := $(BUILD)/bus
FLEET := $(BUILD)/fleet

.PHONY: all programs archives test-programs
all: programs
programs: $(PROGRAMS)
archives: $(ARCHIVES)
test-programs: $(UNIT_TESTS) $(SIM) $(BUS) $(FLEET)

# Changes only when the compiler or its flags do; every object depends on it.
FLAGS_FILE := $(BUILD)/flags
FLAGS_TEXT := $(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $(LDLIBS_ALL)
$(shell mkdir -p $(BUILD) && printf '%s\n' '$(FLAGS_TEXT)' >$(FLAGS_FILE).new.$$$$ && \
	if cmp -s $(FLAGS_FILE).new.$$$$ $(FLAGS_FILE); then rm -f $(FLAGS_FILE).new.$$$$; \
	else mv -f $(FLAGS_FILE).new.$$$$ $(FLAGS_FILE); fi)

$(call objects,$(filter-out $(PURE_SRC),$(BASE_SRC) $(IO_SRC) $(SHELL_SRC) $(NODECTL_SRC) $(NODED_SRC) $(SIM_SRC) \
	$(BUS_SRC) $(FLEET_SRC) \
	$(UNIT_SRC) $(TEST_SUPPORT_SRC) sentineld/main.c nodectl/main.c noded/main.c)): FEATURES := -D_GNU_SOURCE

$(BUILD)/obj/%.o: %.c $(FLAGS_FILE)
	@mkdir -p $(@D)
	@echo "CC    $<"
	@$(CC) $(CFLAGS_ALL) $(FEATURES) $(FASTER) -MMD -MP -c -o $@ $<

# $(call archive,name,sources): made anew each time, so that an object whose source is gone does not stay in it. The
# list file changes with the set of objects, which a newer object alone would not show.
define archive
$(BUILD)/lib/$1.a: $(call objects,$2) $(BUILD)/lib/$1.list
	@mkdir -p $$(@D)
	@rm -f $$@
	@$(AR) rcs $$@ $(call objects,$2)
$(BUILD)/lib/$1.list: FORCE
	@mkdir -p $$(@D)
	@printf '%s\n' '$2' >$$@.new && if cmp -s $$@.new $$@; then rm -f $$@.new; else mv -f $$@.new $$@; fi
endef
.PHONY: FORCE
FORCE:
$(eval $(call archive,base,$(BASE_SRC)))
$(eval $(call archive,resp,$(RESP_SRC)))
$(eval $(call archive,core,$(CORE_SRC)))
$(eval $(call archive,io,$(IO_SRC)))
$(eval $(call archive,shell,$(SHELL_SRC)))
$(eval $(call archive,nodectl,$(NODECTL_SRC)))
$(eval $(call archive,store,$(STORE_SRC)))
$(eval $(call archive,cmd,$(CMD_SRC)))
$(eval $(call archive,repl,$(REPL_SRC)))
$(eval $(call archive,cluster,$(CLUSTER_SRC)))
$(eval $(call archive,noded,$(NODED_SRC)))
$(eval $(call archive,test,$(TEST_SUPPORT_SRC)))

lib = $(addprefix $(BUILD)/lib/,$(addsuffix .a,$1))
# A group: base.a wants mem_fail() of io.a, which wants most of base.a.
link = $(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) \
	-Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS_ALL)

$(BUILD)/sentineld: $(BUILD)/obj/sentineld/main.o $(call lib,shell core io resp base)
$(BUILD)/nodectl: $(BUILD)/obj/nodectl/main.o $(call lib,nodectl noded shell core repl cmd cluster store io resp base)
$(BUILD)/nodectl: LDLIBS_ALL := -llzf $(LDLIBS_ALL)
$(BUILD)/noded: $(BUILD)/obj/noded/main.o $(call lib,noded repl cmd cluster store io resp base)
$(BUILD)/noded: LDLIBS_ALL := $(LDLIBS_NODED) $(LDLIBS_ALL)
$(BUILD)/nodectl $(filter $(BUILD)/tests/unit/nodectl/%,$(UNIT_TESTS)): LDLIBS_ALL += -lncursesw -ltinfo
$(foreach p,sentineld nodectl noded,$(BUILD)/$p):
	@echo "LINK  $@"
	@$(link)

# The simulator and the tests of tests/unit/<folder> get that folder's archive and what it stands on: that they link is
# the proof. test.a defines mem_fail() for a program that does not.
$(SIM): $(call objects,$(SIM_SRC)) $(call lib,core resp base test)
	@echo "LINK  $@"
	@$(link)
$(BUS): $(call objects,$(BUS_SRC)) $(call lib,cluster resp base test)
	@echo "LINK  $@"
	@$(link)
$(FLEET): $(call objects,$(FLEET_SRC)) $(call lib,core cluster resp base test)
	@echo "LINK  $@"
	@$(link)

TEST_LIBS_base := base test
TEST_LIBS_resp := resp base test
TEST_LIBS_core := core resp base test
TEST_LIBS_io := io resp base test
TEST_LIBS_store := store resp base test
TEST_LIBS_cmd := cmd cluster store resp base test
TEST_LIBS_repl := repl cmd cluster store resp base test
TEST_LIBS_cluster := cluster resp base test
TEST_LIBS_noded := noded repl cmd cluster store io resp base test
TEST_LIBS_shell := shell core io resp base test
TEST_LIBS_nodectl := nodectl noded repl cmd cluster store shell core io resp base test
test_libs = $(call lib,$(TEST_LIBS_$(word 3,$(subst /, ,$1))))
$(foreach t,$(UNIT_SRC),$(eval $(t:%.c=$(BUILD)/%): $(t:%.c=$(BUILD)/obj/%.o) $(call test_libs,$t)))
# Files of a test folder that are not tests themselves are shared by all tests of that folder.
SHARED_SRC := $(sort $(filter-out $(UNIT_SRC) $(TEST_SUPPORT_SRC),$(wildcard tests/unit/*/*.c)))
$(call objects,$(SHARED_SRC)): FEATURES := -D_GNU_SOURCE
# They are compiled more often than they run.
$(call objects,$(UNIT_SRC) $(SHARED_SRC)): FASTER := -O1
$(foreach t,$(UNIT_TESTS),$(eval $t: $(call objects,$(filter $(patsubst $(BUILD)/%/,%,$(dir $t))/%,$(SHARED_SRC)))))
# Those of noded/repl have the engine without a program around it from their neighbours.
$(filter $(BUILD)/tests/unit/repl/%,$(UNIT_TESTS)): $(BUILD)/obj/tests/unit/cmd/engine_fixture.o
$(UNIT_TESTS):
	@mkdir -p $(@D)
	@echo "LINK  $@"
	@$(link) -lcmocka -llzf

# Planted bugs: the tables in sentineld/core, noded/cluster and tests/fleet/plant.h number them. -DPLANT=n changes one
# condition of a core; only the sources with that condition are compiled again, everything else comes from its archive.
plants = $(shell sed -n 's/^ \*   *\([0-9][0-9]*\)  .*/\1/p' $1 2>/dev/null)
PLANTED := $(call plants,sentineld/core/plant.h)
BUS_PLANTED := $(call plants,noded/cluster/plant.h)
FLEET_PLANTED := $(call plants,tests/fleet/plant.h)
PLANTED_SIMS := $(foreach b,$(PLANTED),$(BUILD)/planted/sim/$b/sim)
PLANTED_BUSES := $(foreach b,$(BUS_PLANTED),$(BUILD)/planted/bus/$b/bus)
PLANTED_FLEETS := $(foreach b,$(FLEET_PLANTED),$(BUILD)/planted/fleet/$b/fleet)
# $(call planted,simulator,number,sources of the core,sources of the simulator,archives)
define planted
PLANTED_SRC_$1_$2 := $$(shell grep -l 'PLANTED.$2,' $3 /dev/null)
$(BUILD)/planted/$1/$2/$1: $$(patsubst %.c,$(BUILD)/planted/$1/$2/%.o,$$(PLANTED_SRC_$1_$2)) \
		$$(call objects,$$(filter-out $$(PLANTED_SRC_$1_$2),$4)) \
		$(call lib,$5)
	@test -n '$$(PLANTED_SRC_$1_$2)' || \
		{ echo "plant.h has bug $2, but no source of the core has PLANTED($2, ...)"; exit 1; }
	@echo "LINK  $$@"
	@$$(link)
$(BUILD)/planted/$1/$2/%.o: %.c $(FLAGS_FILE)
	@mkdir -p $$(@D)
	@echo "CC    $$< with PLANT=$2"
	@$(CC) $(CFLAGS_ALL) -DPLANT=$2 -MMD -MP -c -o $$@ $$<
-include $$(patsubst %.c,$(BUILD)/planted/$1/$2/%.d,$$(PLANTED_SRC_$1_$2))
endef
ifneq ($(SIM),)
$(foreach b,$(PLANTED),$(eval $(call planted,sim,$b,$(CORE_SRC),$(SIM_SRC),core resp base test)))
endif
$(foreach b,$(BUS_PLANTED),$(eval $(call planted,bus,$b,$(CLUSTER_SRC),$(BUS_SRC),cluster resp base test)))
$(foreach b,$(FLEET_PLANTED),$(eval $(call planted,fleet,$b,$(CLUSTER_SRC) $(CORE_SRC) $(FLEET_SRC),$(FLEET_SRC),\
	core cluster resp base test)))
.PHONY: planted-programs
planted-programs: $(PLANTED_SIMS) $(PLANTED_BUSES) $(PLANTED_FLEETS)

-include $(patsubst %.c,$(BUILD)/obj/%.d,$(BASE_SRC) $(RESP_SRC) $(CORE_SRC) $(IO_SRC) $(SHELL_SRC) \
	$(NODECTL_SRC) $(STORE_SRC) $(CMD_SRC) $(REPL_SRC) $(CLUSTER_SRC) $(NODED_SRC) $(SIM_SRC) $(BUS_SRC) \
	$(FLEET_SRC) $(UNIT_SRC) \
	$(SHARED_SRC) \
	$(TEST_SUPPORT_SRC) \
	sentineld/main.c nodectl/main.c noded/main.c)
