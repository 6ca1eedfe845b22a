/* What must hold after every step of every core: B1-B3 of DESIGN, and what makes them true. */
#ifndef TESTS_CLUSTER_RULES_H
#define TESTS_CLUSTER_RULES_H

#include "tests/unit/cluster/world.h"

struct rules;

struct rules *rules_watch(struct world *w); /* from now on; what breaks is in w->broken */
void rules_free(struct rules *r);
/* B4, for a world that has come to rest: no two masters with slots share a config epoch. */
bool rules_epochs_differ(const struct world *w);

#endif
