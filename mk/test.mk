# make check and its parts. Each part ends with "N passed, N failed"; check adds them up.

export SENTINELD := $(abspath $(BUILD)/sentineld)
export NODECTL := $(abspath $(BUILD)/nodectl)
export NODED := $(abspath $(BUILD)/noded)

# Tests of what happens without memory need malloc() to answer, a finding must say where it was, and its exit status
# must not be taken for an answer of the program.
export ASAN_OPTIONS ?= exitcode=99:allocator_may_return_null=1:detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS ?= exitcode=99:print_stacktrace=1

# Whatever is drawn is the same each time here: what check says depends on the code alone. make sim, bus, fleet and soak
# draw other seeds and tell the first one, so that a run can be had again (make sim SEED=x). From 1,000 on every kind of
# fault must have happened in sim.
SIM_SEED := 582197937
SIM_SEEDS := $(if $(filter 1,$(SAN)),1000,2000)
SIM_JOBS := $(NPROC)
PARTS := check-unit check-scenarios check-sim check-planted check-bus check-bus-planted check-fleet \
	check-fleet-planted check-fuzz check-oracle check-rows check-chains check-e2e check-clients

.PHONY: check check-build $(PARTS) sim soak demo bench
check:
	@tests/tools/deps.sh
	@$(MAKE) --no-print-directory check-build
	@$(PYTHON) tests/tools/sum_parts.py $(foreach p,$(PARTS),--part '$(p:check-%=%)' '$(MAKE) --no-print-directory $p')

check-build: programs test-programs planted-programs fuzz-programs

# make check-unit UNIT=base/% or UNIT=base/test_map runs some of them.
UNIT ?= %
UNIT_CHOSEN = $(filter $(addprefix $(BUILD)/tests/unit/,$(UNIT)),$(UNIT_TESTS))
check-unit: $(UNIT_CHOSEN)
	@$(PYTHON) tests/tools/run_units.py --jobs $$(($(NPROC) + 1)) $(UNIT_CHOSEN)

# Named situations, told as transcripts.
check-scenarios: $(SIM)
	@$(SIM) --scenarios $(sort $(wildcard tests/sim/scenarios/*))

check-sim: $(SIM)
	@$(SIM) --seeds $(SIM_SEEDS) --seed $(SIM_SEED) --jobs $(SIM_JOBS)

check-planted: $(SIM) $(PLANTED_SIMS)
	@$(PYTHON) tests/tools/run_planted.py --seeds $(SIM_SEEDS) --jobs $(SIM_JOBS) --table sentineld/core/plant.h \
		--program sim --normal $(SIM) $(BUILD)/planted/sim $(PLANTED)

# The same for the bus of a cluster: named situations and seeds, and bugs that they must find.
BUS_SEEDS := $(if $(filter 1,$(SAN)),40,150)
BUS_SEED := 50097
check-bus: $(BUS)
	@$(PYTHON) tests/tools/sum_parts.py --part 'scenarios' '$(BUS) --scenarios $(sort $(wildcard tests/bus/scenarios/*))' \
		--part 'seeds' '$(BUS) --seeds $(BUS_SEEDS) --seed $(BUS_SEED) --jobs $(SIM_JOBS)'

check-bus-planted: $(BUS) $(PLANTED_BUSES)
	@$(PYTHON) tests/tools/run_planted.py --seeds 1000 --jobs $(SIM_JOBS) --table noded/cluster/plant.h \
		--program bus --normal $(BUS) $(BUILD)/planted/bus $(BUS_PLANTED)

# The same for supervised clusters: supervisors over nodes.
FLEET_SEEDS := $(if $(filter 1,$(SAN)),100,300)
FLEET_SEED := 501
check-fleet: $(FLEET)
	@$(FLEET) --seeds $(FLEET_SEEDS) --seed $(FLEET_SEED) --jobs $(SIM_JOBS)

check-fleet-planted: $(FLEET) $(PLANTED_FLEETS)
	@$(PYTHON) tests/tools/run_planted.py --seeds 1000 --jobs $(SIM_JOBS) --table tests/fleet/plant.h \
		--program fleet --normal $(FLEET) $(BUILD)/planted/fleet $(FLEET_PLANTED)

# The doors through which bytes come from outside, under the sanitizers whatever SAN says.
check-fuzz: fuzz-programs
	@tests/tools/fuzz.sh 60000x $(NPROC) $(FUZZERS)

# The same commands of chance through redis-server and noded. make oracle COMMANDS=100000 SEED=x FAMILIES="zset list"
COMMANDS ?= 3000
.PHONY: oracle
oracle check-oracle: programs
	@$(PYTHON) tests/oracle/oracle.py --commands $(COMMANDS) $(if $(SEED),--seed $(SEED)) $(FAMILIES)

check-rows: programs
	@$(PYTHON) tests/oracle/rows.py

# Many clients at once against both: transactions, waiting, channels, events.
CROWD_RUNS ?= 6
check-crowd: programs
	@$(PYTHON) tests/oracle/crowd.py --runs $(CROWD_RUNS) $(if $(SEED),--seed $(SEED))

# Chains of redis-server and noded whose links are cut while commands of chance run at the head.
# make check-chains SEED=x
CHAIN_RUNS ?= 1
CHAIN_SEED := 311
check-chains: programs
	@$(PYTHON) tests/oracle/chains.py --seconds 3 --runs $(CHAIN_RUNS) --seed $(or $(SEED),$(CHAIN_SEED))

# The rows and the tests with redis-sentinel that a plain run samples. make check-e2e SEED=x takes others, soak all.
E2E_SEED := 20061
check-e2e: programs
	@$(PYTHON) tests/e2e/run.py --seed $(or $(SEED),$(E2E_SEED))

# ioredis and node-redis from npm, redis-py from Debian: what they print against noded and against redis-server.
check-clients: programs
	@$(PYTHON) tests/clients/run.py $(BUILD)/clients

# make sim SEEDS=n [SEED=x]
SEEDS ?= 5000
sim: $(SIM)
	@test -n '$(SIM)' || { echo "tests/sim has no sources"; exit 1; }
	@$(SIM) --seeds $(SEEDS) $(if $(SEED),--seed $(SEED)) --jobs $(SIM_JOBS)

# make bus SEEDS=n [SEED=x]
.PHONY: bus
bus: $(BUS)
	@$(BUS) --seeds $(SEEDS) $(if $(SEED),--seed $(SEED)) --jobs $(SIM_JOBS)

# make fleet SEEDS=n [SEED=x]
.PHONY: fleet
fleet: $(FLEET)
	@$(FLEET) --seeds $(SEEDS) $(if $(SEED),--seed $(SEED)) --jobs $(SIM_JOBS)

# What check samples, whole.
SOAK_SEEDS ?= 200000
soak: programs $(SIM) $(BUS) $(FLEET)
	@$(SIM) --seeds $(SOAK_SEEDS) --jobs $(SIM_JOBS)
	@$(BUS) --seeds $$(($(SOAK_SEEDS) / 20)) --jobs $(SIM_JOBS)
	@$(FLEET) --seeds $$(($(SOAK_SEEDS) / 10)) --jobs $(SIM_JOBS)
	@$(PYTHON) tests/e2e/run.py --soak

demo:
	@tests/tools/deps.sh
	@$(MAKE) --no-print-directory programs
	@$(PYTHON) tests/demo/demo.py

bench: programs
	@$(PYTHON) tests/bench/bench.py
