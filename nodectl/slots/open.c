#include "nodectl/slots/open.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>

/* "[93->-id]" or "[93-<-id]" */
static void read_open(struct own_slots *o, struct slice word)
{
    struct slice rest = {word.p + 1, word.n - 2}, number = slice_cut(&rest, '-');
    struct open_slot found = {.other = ""};
    int64_t slot;
    if (!text_range(number, 0, SN_SLOTS - 1, &slot) || rest.n != RUNID_LEN + 2 || rest.p[1] != '-' ||
        (rest.p[0] != '>' && rest.p[0] != '<') || !runid_parse((struct slice){rest.p + 2, RUNID_LEN}, found.other))
        return;
    found.slot = (uint16_t)slot;
    found.importing = rest.p[0] == '<';
    o->open = mem_array(o->open, o->nopen + 1, sizeof *o->open);
    o->open[o->nopen++] = found;
}

static void read_range(struct own_slots *o, struct slice word)
{
    int64_t first, last;
    struct slice end = word, begin = slice_cut(&end, '-');
    if (!text_range(begin, 0, SN_SLOTS - 1, &first))
        return;
    if (begin.n == word.n)
        last = first;
    else if (!text_range(end, first, SN_SLOTS - 1, &last))
        return;
    for (int64_t s = first; s <= last; s++)
        slot_set_add(&o->slots, (unsigned)s);
}

bool own_slots_read(struct own_slots *out, struct slice text)
{
    *out = (struct own_slots){.id = ""};
    while (text.n > 0) {
        struct slice line = slice_cut_line(&text), words[8];
        for (size_t i = 0; i < 8; i++)
            words[i] = slice_cut(&line, ' ');
        bool mine = false;
        for (struct slice flags = words[2]; flags.n > 0;)
            mine |= slice_is(slice_cut(&flags, ','), "myself");
        if (!mine || !runid_parse(words[0], out->id))
            continue;
        if (!runid_parse(words[3], out->master))
            out->master[0] = '\0';
        while (line.n > 0) {
            struct slice word = slice_cut(&line, ' ');
            if (word.n > 2 && word.p[0] == '[')
                read_open(out, word);
            else
                read_range(out, word);
        }
        return true;
    }
    return false;
}

void own_slots_free(struct own_slots *o)
{
    free(o->open);
    *o = (struct own_slots){.id = ""};
}

const struct open_slot *own_slots_open(const struct own_slots *o, unsigned slot, bool importing)
{
    for (size_t i = 0; i < o->nopen; i++)
        if (o->open[i].slot == slot && o->open[i].importing == importing)
            return &o->open[i];
    return NULL;
}
