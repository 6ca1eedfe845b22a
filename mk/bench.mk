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
