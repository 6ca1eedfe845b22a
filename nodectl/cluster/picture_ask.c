/* Whom the supervisors name, which node is meant, and questions to one node. */
#include "nodectl/cluster/picture.h"

#include "common/base/mem.h"
#include "nodectl/reply_json.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PREFIX_MIN 4
#define WORDS_MAX 32

/* ---- from the supervisors ---- */

static void put_address(struct conf_addresses *out, const struct addr *a)
{
    out->v = mem_array(out->v, out->n + 1, sizeof *out->v);
    out->v[out->n++] = *a;
}

/* Shards are named "<cluster>/...". false: they are of several clusters, and none was named. */
static bool take_masters(const json_t *masters, const char *fleet, struct conf_addresses *out, struct buf *cluster,
                         struct buf *why)
{
    size_t i;
    const json_t *m;
    json_array_foreach(masters, i, m)
    {
        const char *name = field_text(m, "name"), *slash = strrchr(name, '/');
        struct addr a;
        size_t n = slash != NULL ? (size_t)(slash - name) : 0;
        if (n == 0 || !field_addr(m, "ip", "port", &a) ||
            (fleet != NULL && (strlen(fleet) != n || strncmp(fleet, name, n) != 0)))
            continue;
        if (cluster->n == 0)
            buf_put(cluster, name, n);
        if (!slice_eq(buf_slice(cluster), (struct slice){name, n})) {
            buf_printf(why, "the supervisors watch several clusters (%s, %.*s): say which by --fleet\n",
                       buf_str(cluster), (int)n, name);
            return false;
        }
        put_address(out, &a);
    }
    return true;
}

/* Where the masters are down their replicas know the cluster too. */
static void take_replicas(struct fleet *f, struct fleet_member *by, const json_t *masters, const struct buf *cluster,
                          struct conf_addresses *out)
{
    size_t i, k, asked = 0;
    const json_t *m, *replica;
    fleet_forget(f);
    json_array_foreach(masters, i, m)
    {
        const char *name = field_text(m, "name"), *slash = strrchr(name, '/');
        const char *words[] = {"SENTINEL", "REPLICAS", name};
        if (slash == NULL || !slice_eq(buf_slice(cluster), (struct slice){name, (size_t)(slash - name)}))
            continue;
        fleet_ask(by, 3, words);
        asked++;
    }
    if (asked > 0)
        fleet_run(f);
    for (i = 0; by->error == NULL && i < asked && i < by->nreplies; i++) {
        json_t *replicas = reply_objects(by->replies[i]);
        struct addr a;
        json_array_foreach(replicas, k, replica) if (field_addr(replica, "ip", "port", &a)) put_address(out, &a);
        json_decref(replicas);
    }
}

bool picture_seeds(const struct asking *a, struct conf_addresses *out, struct buf *why)
{
    static const char *const masters[] = {"SENTINEL", "MASTERS"};
    struct fleet f;
    struct buf cluster = {0};
    bool right = true;
    asking_begin(a, &f);
    for (size_t i = 0; i < f.n; i++) {
        asking_login(a, f.members[i]);
        fleet_ask(f.members[i], 2, masters);
    }
    fleet_run(&f);
    for (size_t i = 0; i < f.n && out->n == 0 && right; i++) {
        const redisReply *r = fleet_answer(f.members[i]);
        char text[ADDR_TEXT_MAX];
        if (r == NULL || r->type != REDIS_REPLY_ARRAY) {
            buf_printf(why, "%s: %s\n", addr_text(&f.members[i]->addr, text),
                       r == NULL ? f.members[i]->error : "it does not answer as a supervisor");
            continue;
        }
        json_t *list = reply_objects(r);
        right = take_masters(list, a->targets.fleet, out, &cluster, why);
        if (right && out->n == 0)
            buf_printf(why, "%s: it watches no cluster%s%s\n", addr_text(&f.members[i]->addr, text),
                       a->targets.fleet != NULL ? " of the name " : "",
                       a->targets.fleet != NULL ? a->targets.fleet : "");
        if (right && out->n > 0)
            take_replicas(&f, f.members[i], list, &cluster, out);
        json_decref(list);
    }
    buf_free(&cluster);
    fleet_free(&f);
    return right && out->n > 0;
}

/* ---- which node ---- */

struct picture_node *picture_find(const struct picture *p, const char *text, struct buf *why)
{
    struct picture_node *found = NULL;
    struct addr a;
    size_t n = strlen(text);
    bool address = addr_parse(slice_of(text), &a), ambiguous = false;
    for (size_t i = 0; p->v != NULL && i < p->n; i++) {
        struct picture_node *v = &p->v[i];
        bool same = address ? addr_eq(&v->addr, &a) || (v->member != NULL && addr_eq(&v->member->addr, &a))
                            : n >= PREFIX_MIN && n <= RUNID_LEN && strncasecmp(v->id, text, n) == 0;
        ambiguous |= same && found != NULL;
        found = same ? v : found;
    }
    if (ambiguous)
        buf_printf(why, "several nodes are meant by '%s': give more of the id, or host:port", text);
    else if (found == NULL && !address && n < PREFIX_MIN)
        buf_printf(why, "'%s' is neither host:port nor %d characters of a node's id", text, PREFIX_MIN);
    else if (found == NULL)
        buf_printf(why, "there is no node '%s' in this cluster", text);
    return ambiguous ? NULL : found;
}

size_t picture_replicas(const struct picture *p, const struct picture_node *master)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += !p->v[i].master && strcmp(p->v[i].master_id, master->id) == 0;
    return n;
}

bool picture_is_mine(const struct picture *p, size_t slot, const struct picture_node *n)
{
    return p->owner[slot] >= 0 && &p->v[p->owner[slot]] == n;
}

void picture_slots(const struct picture *p, const struct picture_node *n, uint8_t slots[SN_SLOTS / 8])
{
    memset(slots, 0, SN_SLOTS / 8);
    for (size_t s = 0; s < SN_SLOTS; s++)
        if (picture_is_mine(p, s, n))
            slots[s / 8] |= (uint8_t)(1U << s % 8);
}

/* ---- one question ---- */

const redisReply *picture_ask_slices(struct picture *p, struct picture_node *n, struct buf *why, size_t argc,
                                     const struct slice *argv)
{
    char text[ADDR_TEXT_MAX];
    fleet_forget(&p->fleet);
    if (n->member == NULL) {
        buf_printf(why, "%.8s: its address is not known", n->id);
        return NULL;
    }
    asking_again_node(p->asking, n->member);
    fleet_ask_slices(n->member, argc, argv);
    fleet_run(&p->fleet);
    const redisReply *r = fleet_answer(n->member);
    addr_text(&n->member->addr, text);
    if (r == NULL)
        buf_printf(why, "%s: %s", text, n->member->error);
    else if (r->type == REDIS_REPLY_ERROR)
        buf_printf(why, "%s: %s", text, r->str);
    return r == NULL || r->type == REDIS_REPLY_ERROR ? NULL : r;
}

const redisReply *picture_askf(struct picture *p, struct picture_node *n, struct buf *why, const char *fmt, ...)
{
    struct slice words[WORDS_MAX];
    struct buf line = {0};
    size_t count = 0;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&line, fmt, ap);
    va_end(ap);
    for (struct slice rest = buf_slice(&line); rest.n > 0 && count < WORDS_MAX;)
        words[count++] = slice_cut(&rest, ' ');
    const redisReply *r = picture_ask_slices(p, n, why, count, words);
    buf_free(&line);
    return r;
}
