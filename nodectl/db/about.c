#include "nodectl/db/about.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/reply_json.h"
#include "nodectl/slots/known.h"

#include <stdlib.h>
#include <string.h>

int about_look(const struct command_call *call, const struct asking *a, struct picture *p)
{
    struct buf why = {0};
    bool seen = picture_take(p, a, &why);
    if (!seen) {
        command_fail(call, EXIT_NOBODY, "no node of the cluster can be asked (it is named by %s):", a->targets.source);
        command_fail_lines(call, buf_slice(&why));
    }
    buf_free(&why);
    return seen ? known_one_cluster(call, p) : EXIT_NOBODY;
}

const char *about_name(const struct asking *a, char out[ADDR_TEXT_MAX])
{
    const struct conf_addresses *first = a->targets.seeds.n > 0 ? &a->targets.seeds : &a->targets.supervisors;
    return a->targets.fleet != NULL ? a->targets.fleet : addr_text(&first->v[0], out);
}

int about_database(const struct command_call *call, const char *word, int64_t *db)
{
    if (text_range(slice_of(word), 0, ABOUT_DATABASES_MAX - 1, db))
        return EXIT_OK;
    return command_fail(call, EXIT_USAGE, "'%s' is no number of a database", word);
}

struct picture_node *about_next_master(const struct picture *p, size_t *i)
{
    while (*i < p->n) {
        struct picture_node *n = &p->v[(*i)++];
        if (n->master && n->nslots > 0)
            return n;
    }
    return NULL;
}

bool about_reachable(const struct picture *p, int64_t db, struct buf *why)
{
    char text[ADDR_TEXT_MAX];
    const struct picture_node *n;
    for (size_t i = 0; (n = about_next_master(p, &i)) != NULL;) {
        if (!n->answers) {
            buf_printf(why, "%s, a master, does not answer: %s", addr_text(&n->addr, text),
                       n->member != NULL && n->member->error != NULL ? n->member->error : "its address is not known");
            return false;
        }
        if (db >= n->databases) {
            buf_printf(why,
                       n->databases > 1 ? "%s has no database %lld: it has %lld, from 0 on"
                                        : "%s has no database %lld: it is a cluster node with database 0 only",
                       addr_text(&n->addr, text), (long long)db, (long long)n->databases);
            return false;
        }
    }
    return true;
}

void about_put_key(struct buf *out, struct slice key)
{
    buf_putc(out, '"');
    text_escape(out, key, false);
    buf_putc(out, '"');
}

static void put_base64(struct buf *out, struct slice s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < s.n; i += 3) {
        size_t n = s.n - i < 3 ? s.n - i : 3;
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (k < n ? (unsigned char)s.p[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            buf_putc(out, k <= n ? digits[bits >> (18 - 6 * k) & 63] : '=');
    }
}

void about_put_key_json(struct buf *out, struct slice key)
{
    json_t *text = json_stringn(key.p != NULL ? key.p : "", key.n);
    char *dumped = text != NULL ? json_dumps(text, JSON_ENCODE_ANY) : NULL;
    if (dumped != NULL) {
        buf_printf(out, "\"key\": %s", dumped);
    } else {
        buf_puts(out, "\"key_base64\": \"");
        put_base64(out, key);
        buf_putc(out, '"');
    }
    free(dumped);
    json_decref(text);
}

bool about_figures(struct picture *p, struct picture_node *n, struct about_database_figures **out, size_t *count,
                   struct buf *why)
{
    char text[ADDR_TEXT_MAX];
    const redisReply *r = picture_askf(p, n, why, "INFO keyspace");
    bool told = r != NULL && r->type == REDIS_REPLY_STRING;
    *out = NULL;
    *count = told ? about_read_keyspace((struct slice){r->str, (size_t)r->len}, out) : 0;
    if (r != NULL && !told)
        buf_printf(why, "%s: it answers INFO with what is no text", addr_text(&n->addr, text));
    return told;
}
