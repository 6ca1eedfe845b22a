/* What a scenario plays on: the world, the names that the file gave to its servers, and what has been published. */
#ifndef SIM_STAGE_H
#define SIM_STAGE_H

#include "tests/sim/world.h"

#define WORDS_MAX 24

struct seen {
    const char *event;
    char type[12]; /* the first word of what was said about it: master, slave, sentinel */
    int super;
};

struct stage {
    struct plan plan;
    char names[MAX_NODES][32]; /* of nodes, in the order of the file */
    int nnodes;
    int nodes_of[MAX_GROUPS];
    char groups[MAX_GROUPS][32];
    struct world *world; /* NULL until settle */
    enum recording recording;
    struct seen *seen;
    size_t nseen, cap_seen;
    struct operation *operation;
    uint8_t cut[MAX_ENDS][MAX_ENDS];
    char *words[WORDS_MAX]; /* of the line that plays */
    int nwords;
    char complaint[300]; /* what did not hold, "" while all does */
};

/* Each plays the line in s->words and returns whether it is one of its words. What does not hold is said in
 * s->complaint. */
bool stage_set_up(struct stage *s);
bool stage_act(struct stage *s);
bool stage_expect(struct stage *s);

void complain(struct stage *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool word_is(const struct stage *s, int i, const char *word);
int64_t word_number(struct stage *s, int i);      /* complains when it is none */
struct super *word_super(struct stage *s, int i); /* NULL: complained */
struct node *word_node(struct stage *s, int i);   /* NULL: complained */
bool word_is_super(const struct stage *s, int i);

#endif
