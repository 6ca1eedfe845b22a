# The model of a thousand pairs of servers that make bench measures supervisors with.

MODEL_SRC := $(call sources,tests/bench/model)
MODEL := $(BUILD)/bench-model
export BENCH_MODEL := $(abspath $(MODEL))

$(call objects,$(MODEL_SRC)): FEATURES := -D_GNU_SOURCE
$(MODEL): $(call objects,$(MODEL_SRC)) $(call lib,resp base test)
	@echo "LINK  $@"
	@$(link)
-include $(patsubst %.c,$(BUILD)/obj/%.d,$(MODEL_SRC))

bench: $(MODEL)

# The writer that sees how long requests wait while slots move.
LOAD_SRC := $(call sources,tests/bench/load)
LOAD := $(BUILD)/bench-load
export BENCH_LOAD := $(abspath $(LOAD))

$(call objects,$(LOAD_SRC)): FEATURES := -D_GNU_SOURCE
$(LOAD): $(call objects,$(LOAD_SRC)) $(call lib,store resp base test)
	@echo "LINK  $@"
	@$(link) -llzf
-include $(patsubst %.c,$(BUILD)/obj/%.d,$(LOAD_SRC))

.PHONY: bench-programs
bench-programs: $(MODEL) $(LOAD)
bench: $(LOAD)

# Bytes and nanoseconds of the node's keyspace alone: make bench-store.
STORE_BENCH_SRC := $(call sources,tests/bench/store)
STORE_BENCH := $(BUILD)/bench-store
$(call objects,$(STORE_BENCH_SRC)): FEATURES := -D_GNU_SOURCE
$(STORE_BENCH): $(call objects,$(STORE_BENCH_SRC)) $(call lib,store resp base test)
	@echo "LINK  $@"
	@$(link) -llzf -Wl,--no-as-needed -ljemalloc
-include $(patsubst %.c,$(BUILD)/obj/%.d,$(STORE_BENCH_SRC))

.PHONY: bench-store
bench-store: $(STORE_BENCH)
	@$(STORE_BENCH)
