#include "nodectl/slots/ask.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>

size_t ask_words(struct fleet_member *m, const char *fmt, ...)
{
    struct buf line = {0};
    struct slice *words = NULL;
    size_t n = 0, cap = 0;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&line, fmt, ap);
    va_end(ap);
    for (struct slice rest = buf_slice(&line); rest.n > 0;) {
        words = mem_grow(words, n, &cap, sizeof *words);
        words[n++] = slice_cut(&rest, ' ');
    }
    fleet_ask_slices(m, n, words);
    free(words);
    buf_free(&line);
    return m->wanted - 1;
}

const redisReply *ask_answer(const struct fleet_member *m, size_t place)
{
    return m->error == NULL && place < m->nreplies ? m->replies[place] : NULL;
}

const redisReply *ask_good(const struct fleet_member *m, size_t place, struct buf *why)
{
    const redisReply *r = ask_answer(m, place);
    char text[ADDR_TEXT_MAX];
    if (r != NULL && r->type != REDIS_REPLY_ERROR)
        return r;
    buf_printf(why, "%s: ", addr_text(&m->addr, text));
    if (r != NULL)
        text_quote(why, (struct slice){r->str, r->len}, 300);
    else
        buf_puts(why, m->error != NULL ? m->error : "it has not answered");
    return NULL;
}
