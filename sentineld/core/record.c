#include "sentineld/core/record.h"

#include <stdlib.h>

void sn_record_free(struct sn_record *r)
{
    free(r->group);
    free(r->replicas);
    free(r->peers);
    free(r->fleet);
    free(r->nodes);
    free(r->option);
    free(r->value);
    *r = (struct sn_record){.kind = r->kind};
}
