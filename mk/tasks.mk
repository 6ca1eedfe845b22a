# deps, fuzz, install, clean, help.

.PHONY: deps fuzz install clean help
deps:
	@tests/tools/deps.sh

# Fuzzers: clang's libFuzzer, with sources compiled for it.
FUZZ_SECONDS ?= 30
FUZZ_DIR := $(BUILD)/fuzz
FUZZ_FLAGS := -std=c11 -gline-tables-only -O1 -I. -D_GNU_SOURCE $(WARNINGS) -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=all
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,$(FUZZ_DIR)/%,$(FUZZ_SRC))
fuzz_objects = $(patsubst %.c,$(FUZZ_DIR)/obj/%.o,$1)
.PHONY: fuzz-programs
fuzz-programs: $(FUZZERS)
fuzz: $(FUZZERS)
	@test -n '$(FUZZERS)' || { echo "tests/fuzz has no fuzzers"; exit 1; }
	@tests/tools/fuzz.sh $(FUZZ_SECONDS) $(NPROC) $(FUZZERS)
$(FUZZ_DIR)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "CC    $< for fuzzing"
	@clang $(subst fuzzer,fuzzer-no-link,$(FUZZ_FLAGS)) -MMD -MP -c -o $@ $<
# A fuzzer that includes the core, the node's store, its replication and persistence, or nodectl's readers gets it.
FUZZ_LIB_SRC := $(BASE_SRC) $(RESP_SRC) $(TEST_SUPPORT_SRC)
FUZZ_CORE := $(shell grep -l '"sentineld/core/' $(FUZZ_SRC) /dev/null)
FUZZ_STORE := $(shell grep -l '"noded/store/' $(FUZZ_SRC) /dev/null)
FUZZ_REPL := $(shell grep -l '"noded/repl/' $(FUZZ_SRC) /dev/null)
FUZZ_NODECTL := $(shell grep -l '"nodectl/' $(FUZZ_SRC) /dev/null)
NODECTL_READERS := $(addprefix nodectl/,backup/content.c backup/manifest.c db/keyspace.c failover_watch.c \
	import/written.c info.c local/registry_text.c note_text.c past.c reply_json.c supervisor/list_text.c)
$(FUZZERS): $(FUZZ_DIR)/%: $(FUZZ_DIR)/obj/tests/fuzz/%.o $(call fuzz_objects,$(FUZZ_LIB_SRC))
	@echo "LINK  $@"
	@clang $(FUZZ_FLAGS) -o $@ $^ -lhiredis -llzf -lm -ljansson -lconfig
$(FUZZ_CORE:tests/fuzz/%.c=$(FUZZ_DIR)/%): $(call fuzz_objects,$(CORE_SRC))
$(FUZZ_STORE:tests/fuzz/%.c=$(FUZZ_DIR)/%): $(call fuzz_objects,$(STORE_SRC))
$(FUZZ_REPL:tests/fuzz/%.c=$(FUZZ_DIR)/%): $(call fuzz_objects,$(REPL_SRC) $(CMD_SRC) $(CLUSTER_SRC) $(STORE_SRC))
$(FUZZ_NODECTL:tests/fuzz/%.c=$(FUZZ_DIR)/%): $(call fuzz_objects,$(NODECTL_READERS) $(REPL_SRC) $(CMD_SRC) \
	$(CLUSTER_SRC) $(STORE_SRC))
-include $(patsubst %.c,$(FUZZ_DIR)/obj/%.d,$(FUZZ_LIB_SRC) $(FUZZ_SRC) $(CORE_SRC) $(STORE_SRC) $(CMD_SRC) \
	$(CLUSTER_SRC) $(REPL_SRC) $(NODECTL_READERS))

BINDIR := $(DESTDIR)$(PREFIX)/bin
DOCDIR := $(DESTDIR)$(PREFIX)/share/doc/sentineld
UNITDIR := $(DESTDIR)$(PREFIX)/lib/systemd/system
MANDIR := $(DESTDIR)$(PREFIX)/share/man
SHAREDIR := $(DESTDIR)$(PREFIX)/share
SAMPLES := $(wildcard etc/*.conf etc/*.nft)
UNITS := $(wildcard etc/*.service etc/systemd/*)
MANS := $(wildcard etc/man/*.[1-8])
HOOKS := $(wildcard etc/hooks/*)
install: programs
	install -d $(BINDIR) $(DOCDIR)/examples
	install -m 755 $(PROGRAMS) $(BINDIR)
	install -m 644 $(wildcard LICENSE README.md) $(DOCDIR)
	$(if $(SAMPLES),install -m 644 $(SAMPLES) $(DOCDIR)/examples)
	$(if $(HOOKS),install -d $(DOCDIR)/examples/hooks && install -m 755 $(HOOKS) $(DOCDIR)/examples/hooks)
	$(if $(UNITS),install -d $(UNITDIR) && install -m 644 $(UNITS) $(UNITDIR) && sed -i \
		-e 's|^ExecStart=/usr/bin/env |ExecStart=$(PREFIX)/bin/|' -e '/^# `make install` writes/d' \
		-e 's|file:/usr/local/|file:$(PREFIX)/|' $(addprefix $(UNITDIR)/,$(notdir $(UNITS))))
	$(foreach m,$(MANS),install -D -m 644 $m $(MANDIR)/man$(patsubst .%,%,$(suffix $m))/$(notdir $m) &&) true
	install -d $(MANDIR)/man1 $(SHAREDIR)/bash-completion/completions $(SHAREDIR)/zsh/site-functions \
		$(SHAREDIR)/fish/vendor_completions.d
	$(BUILD)/nodectl __man $(MANDIR)/man1
	$(BUILD)/nodectl completion bash >$(SHAREDIR)/bash-completion/completions/nodectl
	$(BUILD)/nodectl completion zsh >$(SHAREDIR)/zsh/site-functions/_nodectl
	$(BUILD)/nodectl completion fish >$(SHAREDIR)/fish/vendor_completions.d/nodectl.fish

clean:
	rm -rf $(BUILD)

help:
	@echo 'make                      build $(PROGRAMS)'
	@echo 'make deps                 install the Debian packages that are missing (etc/packages.txt)'
	@echo 'make demo                 deps, build, and a drill on a fleet of real processes'
	@echo 'make check                deps, build, and all tests; parts: $(PARTS)'
	@echo 'make SAN=1 check          the same with the address and undefined behaviour sanitizers'
	@echo 'make lint                 format, clang-tidy, cppcheck, include rule, symbol rule, sizes'
	@echo 'make sim SEEDS=n [SEED=x] simulate the seeds x to x+n-1 (x is drawn and printed if absent)'
	@echo 'make soak                 many seeds, and every row of the end-to-end tests'
	@echo 'make fuzz                 each fuzzer for FUZZ_SECONDS=30'
	@echo 'make bench                ours against stock, with targets'
	@echo 'make install              PREFIX=/usr/local DESTDIR='
	@echo 'make clean                remove $(BUILD)'
	@echo
	@echo 'CC=clang chooses the compiler, BUILD=folder the output folder.'
