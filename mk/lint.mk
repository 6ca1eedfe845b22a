# make lint. clang-tidy is the slow one: each file has a stamp that is younger than it and all that it includes.

LINT := $(BUILD)/lint
C_FILES := $(sort $(shell find common sentineld noded nodectl tests -name '*.[ch]' 2>/dev/null))
C_SOURCES := $(filter %.c,$(C_FILES))
LINT_CHECKS := lint-format lint-layout lint-includes lint-symbols lint-cppcheck lint-tidy

.PHONY: lint lint-deps $(LINT_CHECKS) format
lint:
	@tests/tools/deps.sh
	@$(PYTHON) tests/tools/sum_parts.py $(foreach c,$(LINT_CHECKS),--check '$(c:lint-%=%)' \
		'$(MAKE) --no-print-directory -k $c')

lint-format:
	@clang-format --dry-run -Werror $(C_FILES)

lint-layout:
	@$(PYTHON) tests/lint/layout.py

lint-includes:
	@$(PYTHON) tests/lint/includes.py $(C_FILES)

lint-symbols: $(PURE_ARCHIVES)
	@tests/lint/symbols.sh $(PURE_ARCHIVES)

lint-cppcheck:
	@mkdir -p $(LINT)/cppcheck
	@cppcheck --quiet -j $(NPROC) --cppcheck-build-dir=$(LINT)/cppcheck --std=c11 --language=c -I. -D_GNU_SOURCE \
		--enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
		--suppressions-list=tests/lint/cppcheck.txt $(C_SOURCES)

# The analyzer's default of 225,000 states for each function makes it take four times as long, for nothing more found.
TIDY_FLAGS := -std=c11 -I. -Xclang -analyzer-config -Xclang max-nodes=50000
TIDY_STAMPS := $(patsubst %.c,$(LINT)/tidy/%.ok,$(C_SOURCES))
lint-tidy: $(TIDY_STAMPS)
$(LINT)/tidy/%.ok: %.c .clang-tidy
	@mkdir -p $(@D)
	@echo "TIDY  $<"
	@clang-tidy --quiet --warnings-as-errors='*' $< -- $(TIDY_FLAGS) $(if $(filter $<,$(PURE_SRC)),,-D_GNU_SOURCE) \
		2>$(@:.ok=.err) || { grep -v -e 'warnings generated' -e 'Suppressed' -e 'Use -header-filter' $(@:.ok=.err); exit 1; }
	@clang -std=c11 -I. -D_GNU_SOURCE -MM -MP -MT $@ -MF $(@:.ok=.d) $<
	@touch $@
-include $(TIDY_STAMPS:.ok=.d)

# Not part of lint: writes the files of FORMAT anew. Comments are broken at 120 columns here; lint only measures them.
FORMAT ?= $(C_FILES)
format:
	@mkdir -p $(LINT)
	@sed 's/^ReflowComments: false/ReflowComments: true/' .clang-format >$(LINT)/reflow
	clang-format -i --style=file:$(LINT)/reflow $(FORMAT)
