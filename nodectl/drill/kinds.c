#include "nodectl/drill/kinds.h"

#define ROW(id, name, deed, part, text) [DRILL_##id] = {name, text, DEED_##deed, PART_##part},
static const struct {
    const char *name, *text;
    enum drill_deed deed;
    enum drill_part part;
} kinds[] = {DRILL_TABLE(ROW)[DRILL_RANDOM] = {.name = "random", .text = "one of these, drawn"}};

const char *drill_kind_name(enum drill_kind k)
{
    return kinds[k].name;
}

const char *drill_kind_text(enum drill_kind k)
{
    return kinds[k].text;
}

enum drill_deed drill_kind_deed(enum drill_kind k)
{
    return kinds[k].deed;
}

enum drill_part drill_kind_part(enum drill_kind k)
{
    return kinds[k].part;
}

const char *drill_part_name(enum drill_part p)
{
    static const char *const names[] = {
        [PART_MASTER] = "master", [PART_REPLICA] = "replica", [PART_SUPERVISOR] = "supervisor"};
    return names[p];
}
