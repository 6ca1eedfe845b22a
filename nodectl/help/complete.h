/* What may stand at the end of a command line that is being typed. Everything is read from the command tree, so it is
 * always that of the program that is asked. */
#ifndef NODECTL_HELP_COMPLETE_H
#define NODECTL_HELP_COMPLETE_H

#include "common/base/bytes.h"
#include "nodectl/command.h"

enum complete_kind {
    COMPLETE_WORDS, /* `lines` has all there is */
    COMPLETE_FILES,
    COMPLETE_FOLDERS,
    COMPLETE_FLEETS, /* names of the configuration file */
    COMPLETE_GROUPS, /* shards and groups of the supervisors */
    COMPLETE_NODES,  /* host:port of nodes that the supervisors know */
};

struct complete {
    struct buf lines;        /* "word\tdescription\n" each; those that begin as the last word does */
    enum complete_kind kind; /* what else may stand there */
    struct slice head;       /* what stands before it in the last word: "--fleet=", or nothing */
    struct slice begun;      /* the rest of the last word */
    /* What was given before of the options that say whom to ask; NULL: not given. They point into the words. */
    const char *fleet, *supervisor, *config;
};

/* words: those behind the program's name; the last one is completed, and may be "". With no word it is as with "". */
void complete_find(struct complete *c, const struct command *root, int n, const char *const *words);
void complete_free(struct complete *c);

/* Adds the word, behind the head, when it begins as it should. What a terminal or a shell would obey is left out. */
void complete_offer(struct complete *c, struct slice word, const char *description);

#endif
