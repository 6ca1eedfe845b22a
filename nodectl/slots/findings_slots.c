/* Slots, the shards that have them, and the leases of their masters. */
#include "nodectl/slots/findings_rules.h"

#include "nodectl/slots/set.h"

#include <string.h>
#include <strings.h>

#define WAITS_S 10 /* a migration that says what it waits for */
#define HANGS_S 30 /* a migration without a step and without a word of its other end */

/* ---- slots ---- */

static void find_uncovered(const struct picture *p, struct findings *f)
{
    struct slot_set none = {{0}};
    struct buf ranges = {0};
    for (unsigned s = 0; s < SN_SLOTS; s++)
        if (p->owner[s] < 0)
            slot_set_add(&none, s);
    slot_set_put(&ranges, &none, 8);
    if (p->covered < SN_SLOTS)
        finding_add(f, FINDING_ERROR, "slots-uncovered", "`nodectl slots fix` shows who has keys of them",
                    "%u slots are nobody's: %s", slot_set_count(&none), buf_str(&ranges));
    buf_free(&ranges);
}

/* Those that stand for their kind and other end: the first of them, so that each list is told once. */
static bool is_first(const struct picture_node *n, size_t of)
{
    for (size_t o = 0; o < of; o++)
        if (n->open[o].importing == n->open[of].importing && strcmp(n->open[o].other, n->open[of].other) == 0)
            return false;
    return true;
}

static void find_open(const struct picture *p, struct findings *f)
{
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n; i++) {
        const struct picture_node *n = &p->v[i];
        for (size_t o = 0; n->answers && o < n->nopen; o++) {
            struct slot_set slots = {{0}};
            struct buf ranges = {0};
            if (!is_first(n, o))
                continue;
            for (size_t k = o; k < n->nopen; k++)
                if (n->open[k].importing == n->open[o].importing && strcmp(n->open[k].other, n->open[o].other) == 0)
                    slot_set_add(&slots, n->open[k].slot);
            slot_set_put(&ranges, &slots, 8);
            finding_add(f, FINDING_WARNING, "slot-open",
                        "if nobody is moving them, `nodectl slots fix` finishes that or takes them back",
                        "open slots: %s %s %.8s: %s", addr_text(&n->addr, text),
                        n->open[o].importing ? "imports from" : "migrates to", n->open[o].other, buf_str(&ranges));
            buf_free(&ranges);
        }
    }
}

static void find_strange_keys(const struct picture *p, const struct survey *s, struct findings *f)
{
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n; i++) {
        struct slot_set which = {{0}};
        struct buf ranges = {0};
        int64_t keys = 0;
        bool open = false;
        for (unsigned slot = 0; slot < SN_SLOTS; slot++) {
            open = false;
            for (size_t o = 0; o < p->v[i].nopen; o++)
                open = open || p->v[i].open[o].slot == slot;
            if (p->owner[slot] < 0 || p->owner[slot] == (int16_t)i || open || survey_keys(s, i, slot) == 0)
                continue;
            slot_set_add(&which, slot);
            keys += survey_keys(s, i, slot);
        }
        slot_set_put(&ranges, &which, 8);
        if (keys > 0)
            finding_add(f, FINDING_WARNING, "keys-in-foreign-slots",
                        "no client sees them there; `nodectl slots fix` brings them to the masters of their slots",
                        "%s holds %lld keys in slots of others: %s", addr_text(&p->v[i].addr, text), (long long)keys,
                        buf_str(&ranges));
        buf_free(&ranges);
    }
}

static void find_hanging(const struct picture *p, const struct survey *s, struct findings *f)
{
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n; i++) {
        for (size_t k = 0; k < s->v[i].jobs.n; k++) {
            const struct slot_job *j = &s->v[i].jobs.v[k];
            int64_t last_s = j->updated_s > j->acked_s ? j->updated_s : j->acked_s;
            if (!slot_job_is_over(j) && j->message[0] != '\0' && s->v[i].now_s - j->updated_s >= WAITS_S)
                finding_add(f, FINDING_WARNING, "migration-waits",
                            "see to what it waits for; CLUSTER CANCELSLOTMIGRATIONS at the source takes it back",
                            "a migration at %s is %s for %lld s: %s", addr_text(&p->v[i].addr, text), j->state,
                            (long long)(s->v[i].now_s - j->updated_s), j->message);
            if (slot_job_is_over(j) || j->message[0] != '\0' || s->v[i].now_s - last_s < HANGS_S)
                continue;
            finding_add(f, FINDING_WARNING, "migration-hangs",
                        "look at the other end; CLUSTER CANCELSLOTMIGRATIONS at the source takes it back",
                        "a migration at %s is %s for %lld s: %s", addr_text(&p->v[i].addr, text), j->state,
                        (long long)(s->v[i].now_s - last_s), j->message);
        }
    }
}

void find_in_slots(const struct picture *p, const struct survey *s, struct findings *f)
{
    find_uncovered(p, f);
    find_open(p, f);
    find_strange_keys(p, s, f);
    find_hanging(p, s, f);
}

/* ---- shards ---- */

static bool follows(const struct picture_node *n, const struct picture_node *master)
{
    return !n->master && runid_cmp(n->master_id, master->id) == 0;
}

/* Where all nodes are on one host there is nothing to choose. */
static bool one_host(const struct picture *p)
{
    for (size_t i = 1; i < p->n; i++)
        if (strcasecmp(p->v[i].addr.host, p->v[0].addr.host) != 0)
            return false;
    return true;
}

static void find_placement(const struct picture *p, const struct picture_node *master, struct findings *f)
{
    size_t replicas = 0, elsewhere = 0;
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n; i++) {
        if (!follows(&p->v[i], master))
            continue;
        replicas++;
        elsewhere += strcasecmp(p->v[i].addr.host, master->addr.host) != 0;
    }
    if (replicas > 0 && elsewhere == 0)
        finding_add(f, FINDING_WARNING, "shard-on-one-host", "put a replica on another host (`nodectl node add`)",
                    "master %s and all of its replicas are on host %s", addr_text(&master->addr, text),
                    master->addr.host);
}

static void find_replicas(const struct picture *p, struct findings *f)
{
    size_t bare = 0, masters = 0;
    char text[ADDR_TEXT_MAX];
    bool single = one_host(p);
    for (size_t i = 0; i < p->n; i++) {
        const struct picture_node *n = &p->v[i];
        if (!n->master || n->nslots == 0)
            continue;
        masters++;
        bare += picture_replicas(p, n) == 0;
        if (!single)
            find_placement(p, n, f);
    }
    if (masters > 0 && bare == masters) {
        finding_add(f, FINDING_NOTE, "no-replicas", "`nodectl node add --shard` adds some",
                    "no master has a replica: what a node holds is gone when its disk is");
        return;
    }
    for (size_t i = 0; bare > 0 && i < p->n; i++)
        if (p->v[i].master && p->v[i].nslots > 0 && picture_replicas(p, &p->v[i]) == 0)
            finding_add(f, FINDING_WARNING, "master-without-replica", "`nodectl node add --shard` adds one",
                        "master %s has no replica, and others have", addr_text(&p->v[i].addr, text));
}

static void find_epochs(const struct picture *p, struct findings *f)
{
    char text[2][ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n; i++)
        for (size_t k = i + 1; k < p->n; k++) {
            const struct picture_node *a = &p->v[i], *b = &p->v[k];
            if (a->master && b->master && a->answers && b->answers && a->epoch == b->epoch && a->nslots > 0 &&
                b->nslots > 0)
                finding_add(f, FINDING_WARNING, "epochs-collide",
                            "nodes settle that among themselves in some seconds; check again",
                            "masters %s and %s have the same config epoch %llu", addr_text(&a->addr, text[0]),
                            addr_text(&b->addr, text[1]), (unsigned long long)a->epoch);
        }
}

static void find_databases(const struct picture *p, struct findings *f)
{
    struct buf who = {0};
    char text[ADDR_TEXT_MAX];
    int64_t most = 1;
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].answers && p->v[i].databases > most)
            most = p->v[i].databases;
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].answers && p->v[i].databases < most)
            buf_printf(&who, "%s%s (%lld)", who.n > 0 ? ", " : "", addr_text(&p->v[i].addr, text),
                       (long long)p->v[i].databases);
    if (who.n > 0)
        finding_add(f, FINDING_NOTE, "databases-differ",
                    "slots with keys in databases that a node lacks cannot move to it",
                    "not all nodes have %lld databases: %s", (long long)most, buf_str(&who));
    buf_free(&who);
}

/* No slot brings them along, so a master that was added later may lack them. */
static void find_functions(const struct picture *p, const struct survey *s, struct findings *f)
{
    size_t first = SIZE_MAX;
    bool differ = false;
    struct buf who = {0};
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n; i++) {
        if (!p->v[i].answers || !p->v[i].master || p->v[i].noded || s->v[i].functions < 0)
            continue;
        first = first == SIZE_MAX ? i : first;
        differ = differ || s->v[i].functions != s->v[first].functions ||
                 memcmp(s->v[i].functions_digest, s->v[first].functions_digest, SHA1_BYTES) != 0;
        buf_printf(&who, "%s%s (%lld)", who.n > 0 ? ", " : "", addr_text(&p->v[i].addr, text),
                   (long long)s->v[i].functions);
    }
    if (differ)
        finding_add(f, FINDING_WARNING, "functions-differ",
                    "FUNCTION DUMP at a master that has all, and FUNCTION RESTORE at the others",
                    "not all masters have the same function libraries: %s", buf_str(&who));
    buf_free(&who);
}

void find_in_shards(const struct picture *p, const struct survey *s, struct findings *f)
{
    find_functions(p, s, f);
    find_replicas(p, f);
    find_epochs(p, f);
    find_databases(p, f);
}

/* ---- supervisors ---- */

static void find_mapping(const struct picture *p, const struct survey *s, struct findings *f)
{
    const struct survey_of *first = NULL;
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n; i++) {
        const struct survey_of *o = &s->v[i];
        if (!p->v[i].answers || !p->v[i].master || !o->mapped)
            continue;
        first = first != NULL ? first : o;
        if (o->mapping_epoch != first->mapping_epoch)
            finding_add(f, FINDING_ERROR, "mapping-differs",
                        "a supervisor brings the swap to every master: see whether all supervisors run",
                        "%s has applied %lld swaps of databases, another master %lld", addr_text(&p->v[i].addr, text),
                        (long long)o->mapping_epoch, (long long)first->mapping_epoch);
        if (strcmp(o->mapping_state, "prepared") == 0)
            finding_add(f, FINDING_WARNING, "swap-under-way",
                        "check again in a moment; if it stays, see whether a majority of the supervisors runs",
                        "%s has a swap of databases prepared and holds them until it is decided",
                        addr_text(&p->v[i].addr, text));
    }
}

void find_in_supervision(const struct picture *p, const struct survey *s, struct findings *f)
{
    size_t supervised = 0, masters = 0;
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n; i++) {
        if (!p->v[i].answers || !p->v[i].master || p->v[i].nslots == 0)
            continue;
        masters++;
        supervised += s->v[i].supervised > 0;
        if (s->v[i].supervised > 0 && s->v[i].lease_ms <= 0)
            finding_add(f, FINDING_ERROR, "lease-missing",
                        "see whether a majority of the supervisors runs and reaches it (`nodectl status`)",
                        "master %s is supervised and holds no lease: it takes no writes",
                        addr_text(&p->v[i].addr, text));
    }
    if (supervised > 0 && supervised < masters)
        finding_add(f, FINDING_WARNING, "supervised-in-part",
                    "`nodectl cluster adopt` puts the rest under supervision, `release` ends it",
                    "%zu of %zu masters are supervised", supervised, masters);
    find_mapping(p, s, f);
}
