/* What is wrong with a cluster, each with a code that stays, a text, and what to do. Pure. */
#ifndef NODECTL_SLOTS_FINDINGS_H
#define NODECTL_SLOTS_FINDINGS_H

#include "nodectl/slots/survey.h"

enum finding_level {
    FINDING_ERROR,   /* clients get errors, or data could be lost */
    FINDING_WARNING, /* they may, when something else fails */
    FINDING_NOTE,    /* it may be meant to be so; does not count for the exit status */
};

struct finding {
    enum finding_level level;
    const char *code;    /* "slots-uncovered" */
    char *text, *advice; /* owned */
};

struct findings {
    struct finding *v; /* owned */
    size_t n, cap;
};

void findings_make(const struct picture *p, const struct survey *s, struct findings *out);
/* How many slots a node's view gives to another owner; they are added to `which`. */
unsigned findings_differing(const struct picture *p, const struct picture_node *n, struct slot_set *which);
/* Whether every node that answers gives all slots to those whose own word it is. */
bool findings_views_agree(const struct picture *p);
void findings_free(struct findings *f);
size_t findings_count(const struct findings *f); /* without notes */
const char *finding_level_name(enum finding_level level);

#endif
