#include "nodectl/slots/findings.h"

#include "common/base/mem.h"
#include "nodectl/slots/findings_rules.h"

#include <stdlib.h>

void finding_add(struct findings *f, enum finding_level level, const char *code, const char *advice, const char *fmt,
                 ...)
{
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    f->v = mem_grow(f->v, f->n, &f->cap, sizeof *f->v);
    f->v[f->n++] = (struct finding){
        .level = level, .code = code, .text = slice_dup(buf_slice(&text)), .advice = mem_strdup(advice)};
    buf_free(&text);
}

void findings_free(struct findings *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->v[i].text);
        free(f->v[i].advice);
    }
    free(f->v);
    *f = (struct findings){0};
}

size_t findings_count(const struct findings *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++)
        n += f->v[i].level != FINDING_NOTE;
    return n;
}

const char *finding_level_name(enum finding_level level)
{
    static const char *const names[] = {
        [FINDING_ERROR] = "error", [FINDING_WARNING] = "warning", [FINDING_NOTE] = "note"};
    return names[level];
}

void findings_make(const struct picture *p, const struct survey *s, struct findings *out)
{
    *out = (struct findings){0};
    find_in_nodes(p, s, out);
    find_in_views(p, out);
    find_in_slots(p, s, out);
    find_in_shards(p, s, out);
    find_in_supervision(p, s, out);
}
