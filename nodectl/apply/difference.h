/* What a cluster has too few and too many of, compared with what is wished. Pure: a picture is all that it looks at. */
#ifndef NODECTL_APPLY_DIFFERENCE_H
#define NODECTL_APPLY_DIFFERENCE_H

#include "nodectl/cluster/picture.h"

struct difference {
    size_t masters;  /* new ones that are needed */
    runid *replicas; /* the master of each new replica that is needed by a shard that is there; owned */
    size_t nreplicas;
    /* Nodes that are too many, replicas before their masters. A master that is in it gives its slots away first. */
    runid *leave; /* owned */
    size_t nleave;
    runid *drain; /* the masters among them; owned */
    size_t ndrain;
    bool uneven; /* there are masters without slots that stay */
};

/* Masters without slots count as shards to be: an apply that was cut short goes on with them. Of masters that are too
 * many those go that have the fewest slots; of replicas those that the picture has last, and dead ones first. */
void difference_find(struct difference *d, const struct picture *p, size_t shards, size_t replicas);
void difference_free(struct difference *d);

#endif
