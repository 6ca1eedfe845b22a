/* A fleet as a file declares it:
 *
 *     name = "orders";
 *     shards = 4;
 *     replicas = 1;                                  # of each shard
 *     databases = 16;                                # optional
 *     options = { maxmemory = "1gb"; hz = 20; };     # optional: settings of all nodes, _ or - in names
 *     spare = [ "10.0.0.14:7001" ];                  # optional: empty nodes that run, where none can be started
 */
#ifndef NODECTL_APPLY_SPEC_H
#define NODECTL_APPLY_SPEC_H

#include "common/io/conf.h"

struct spec_option {
    char *name, *value; /* owned; as CONFIG SET wants them */
};

struct spec {
    char *name;                          /* owned */
    int64_t shards, replicas, databases; /* databases 0: not said */
    struct spec_option *options;
    size_t noptions;
    struct conf_addresses spare;
};

/* false: the file is wrong, and problems has a line for each reason. spec_free() either way. */
bool spec_load(struct spec *s, const char *path, struct conf_problems *problems);
void spec_free(struct spec *s);

#endif
