#include "sentineld/core/params.h"

#include <stddef.h>

static const struct {
    const char *name;
    size_t at;
} rows[] = {
#define X(name, field, value, min) {name, offsetof(struct sn_params, field)},
    SN_PARAMS(X)
#undef X
};

void sn_params_default(struct sn_params *p)
{
#define X(name, field, value, min) p->field = (value);
    SN_PARAMS(X)
#undef X
}

int64_t *sn_params_find(struct sn_params *p, struct slice name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (slice_ieq(name, rows[i].name))
            return (int64_t *)(void *)((char *)p + rows[i].at);
    return NULL;
}
