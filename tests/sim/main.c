/* sim: the simulator of the supervisors. tests/runner/runner.h has its arguments. */
#include "tests/sim/scenario.h"
#include "tests/sim/seed.h"

#define ALL_KINDS_FROM 1000 /* from so many seeds on, every kind of thing must have happened */

static const struct run_count counts[] = {
#define X(name, words, wanted) {words, wanted},
    SIM_COUNTS(X)
#undef X
};

_Static_assert(COUNTS <= RUN_COUNTS_MAX, "the runner has no room for all counts");

int main(int argc, char **argv)
{
    static const struct runner r = {
        .name = "sim",
        .all_from = ALL_KINDS_FROM,
        .counts = counts,
        .ncounts = COUNTS,
        .seed = seed_run,
        .scenarios = scenarios_play,
    };
    return runner_main(&r, argc, argv);
}
