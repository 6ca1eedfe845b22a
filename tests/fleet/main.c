/* fleet: the simulator of supervised clusters. tests/runner/runner.h has its arguments. */
#include "tests/fleet/counts.h"
#include "tests/fleet/seed.h"

#include <stdio.h>

#define ALL_KINDS_FROM 200 /* from so many seeds on, every kind of thing must have happened */

static const struct run_count counts[] = {
#define X(name, words, wanted) {words, wanted},
    FLEET_COUNTS(X)
#undef X
};

_Static_assert(COUNTS <= RUN_COUNTS_MAX, "the runner has no room for all counts");

static int no_scenarios(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    fprintf(stderr, "fleet has no scenarios\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct runner r = {
        .name = "fleet",
        .all_from = ALL_KINDS_FROM,
        .counts = counts,
        .ncounts = COUNTS,
        .seed = seed_run,
        .scenarios = no_scenarios,
    };
    return runner_main(&r, argc, argv);
}
