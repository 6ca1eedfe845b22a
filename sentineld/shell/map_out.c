#include "sentineld/shell/map_out.h"

struct map_out map_begin(struct reply *r)
{
    return (struct map_out){r, reply_begin(r), 0};
}

void map_end(struct map_out *m)
{
    reply_end_map(m->r, m->mark, m->pairs);
}

void map_field(struct map_out *m, const char *field)
{
    reply_bulks(m->r, field);
    m->pairs++;
}

void map_text(struct map_out *m, const char *field, const char *value)
{
    map_field(m, field);
    reply_bulks(m->r, value);
}

void map_number(struct map_out *m, const char *field, int64_t value)
{
    map_field(m, field);
    reply_bulk_int(m->r, value);
}
