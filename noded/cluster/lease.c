#include "noded/cluster/lease.h"
#include "noded/cluster/state.h"

#include "common/base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int majority(const struct cl_membership *m)
{
    return PLANTED(111, m->n / 2 + 1, m->n / 2 + (m->n == 1));
}

static struct slice list_of(const struct cl_membership *m)
{
    return (struct slice){m->list, m->list_n};
}

void cl_lease_init(struct cl_core *c, uint64_t seed)
{
    struct cl_supervision *s = &c->lease;
    struct rng own; /* what else is drawn stays as it is without leases */
    rng_seed(&own, ~seed);
    while (s->incarnation == 0)
        s->incarnation = rng_u64(&own);
    s->until_us = INT64_MAX;
    s->dropped_us = INT64_MIN;
}

void cl_lease_free(struct cl_core *c)
{
    free(c->lease.counted);
    free(c->lease.next);
    free(c->lease.heard);
}

/* ---- until when ---- */

static bool is_valid(const struct cl_voice *v, int64_t boot_us)
{
    return v->begin_us <= boot_us && boot_us < v->end_us;
}

/* Of all grants that have begun the end that so many reach: 0 when there are fewer. Until then at least as many are
 * unexpired. */
static int64_t until_of(const struct cl_membership *m, int64_t boot_us, int *grants)
{
    int64_t ends[CL_SUPERVISORS_MAX] = {0};
    int n = 0;
    for (int i = 0; i < m->n; i++) {
        if (!is_valid(&m->voices[i], boot_us))
            continue;
        int at = n++;
        for (; at > 0 && ends[at - 1] < m->voices[i].end_us; at--)
            ends[at] = ends[at - 1];
        ends[at] = m->voices[i].end_us;
    }
    if (grants != NULL)
        *grants = n;
    return n >= majority(m) ? ends[majority(m) - 1] : 0;
}

/* It was promoted with a dataset that lacks a swap which was made before the last one that it knows: it would hold the
 * databases of that one, and take the others for what they are no more (SAFETY W1). */
static bool is_behind(const struct cl_core *c)
{
    return c->shard.swap_epoch > c->facts.mapping_epoch + 1;
}

static int64_t until_at(const struct cl_core *c, int64_t boot_us, int *grants)
{
    *grants = 0;
    if (c->lease.counted == NULL)
        return INT64_MAX;
    int64_t until = until_of(c->lease.counted, boot_us, grants);
    if (PLANTED(105, false, c->lease.heard != NULL && until == 0))
        until = until_of(c->lease.heard, boot_us, grants);
    /* Until the promotion is on disk the data side is still a replica. */
    return cl_has(c->me, CL_MASTER) && !c->promoting && !is_behind(c) ? until : 0;
}

void cl_lease_find(struct cl_core *c)
{
    int grants;
    c->lease.until_us = until_at(c, c->facts.boot_us, &grants);
}

int64_t cl_lease_until(const struct cl_core *c)
{
    return c->lease.until_us;
}

bool cl_fenced(const struct cl_core *c)
{
    return c->lease.counted != NULL;
}

bool cl_has_supervisors(const struct cl_core *c)
{
    return c->lease.counted != NULL || c->lease.next != NULL;
}

bool cl_leased(const struct cl_core *c)
{
    int grants;
    return until_at(c, c->facts.boot_us, &grants) > c->facts.boot_us;
}

bool cl_lacks_lease(struct cl_core *c, cl_token token)
{
    if (cl_leased(c))
        return false;
    cl_effect_answer(c->fx, token, false, "ERR This node is supervised and holds no lease now: it claims nothing");
    return true;
}

void cl_lease_state(const struct cl_core *c, int64_t boot_us, struct cl_lease_state *out)
{
    const struct cl_supervision *s = &c->lease;
    const struct cl_node *master = cl_has(c->me, CL_REPLICA) ? c->me->master : NULL;
    *out = (struct cl_lease_state){.supervised = s->counted != NULL,
                                   .incarnation = s->incarnation,
                                   .generation = c->claim.generation,
                                   .config_epoch = master != NULL ? master->config_epoch : c->claim.config_epoch,
                                   .current_epoch = c->claim.current_epoch,
                                   .wants_epoch = cl_wants_epoch(c)};
    out->until_us = until_at(c, boot_us, &out->grants);
    if (s->counted == NULL)
        return;
    out->version = s->counted->version;
    out->supervisors = s->counted->n;
    out->needed = majority(s->counted);
}

struct slice cl_lease_list(const struct cl_core *c)
{
    return c->lease.counted != NULL ? list_of(c->lease.counted) : (struct slice){NULL, 0};
}

/* A grant that begins later changes what holds by time alone. */
int64_t cl_lease_deadline(const struct cl_core *c)
{
    const struct cl_membership *m = c->lease.counted;
    int64_t at = HEAP_NEVER;
    for (int i = 0; m != NULL && i < m->n; i++) {
        int64_t in_us = m->voices[i].begin_us - c->facts.boot_us;
        if (m->voices[i].end_us != 0 && in_us > 0 && c->now_us + in_us < at)
            at = c->now_us + in_us;
    }
    return at;
}

/* ---- grants ---- */

/* Of a moment: never 0. */
static int64_t monotonic(const struct cl_core *c)
{
    return c->now_us > 0 ? c->now_us : 1;
}

static void voice_heard(const struct cl_core *c, struct cl_voice *v)
{
    v->heard_us = monotonic(c);
    if (v->first_us == 0)
        v->first_us = v->heard_us;
}

static void grant_put(struct cl_core *c, struct cl_voice *v, const struct cl_grant *g, uint64_t epoch)
{
    const struct cl_supervision *s = &c->lease;
    int64_t boot_us = c->facts.boot_us, stamp = PLANTED(17, g->stamp.clock_us, boot_us);
    if (PLANTED(104, g->stamp.incarnation != s->incarnation, false) || stamp > boot_us || stamp <= s->dropped_us ||
        stamp <= v->after_us || epoch < s->floor)
        return;
    voice_heard(c, v);
    int64_t from_us = PLANTED(102, stamp, boot_us);
    int64_t begin_us = from_us + g->wait_ms * 1010, end_us = from_us + g->ttl_ms * 990;
    if (end_us <= boot_us || end_us <= begin_us)
        return;
    /* A late message does not take away what a newer one has given: while the two times meet, both hold. */
    bool lives = v->end_us > boot_us, meet = lives && begin_us <= v->end_us && v->begin_us <= end_us;
    if (lives && !meet && end_us < v->end_us)
        return;
    v->begin_us = meet && v->begin_us < begin_us ? v->begin_us : begin_us;
    v->end_us = meet && v->end_us > end_us ? v->end_us : end_us;
}

static void grant_drop(const struct cl_core *c, struct cl_voice *v)
{
    v->end_us = 0;
    v->after_us = c->facts.boot_us;
}

static void take_back_in(const struct cl_core *c, struct cl_membership *m, struct slice address)
{
    int at = m != NULL ? cl_list_find(list_of(m), address) : -1;
    if (at >= 0)
        grant_drop(c, &m->voices[at]);
}

/* Whatever version it granted under, it is the same supervisor. */
static void take_back(struct cl_core *c, struct slice address)
{
    take_back_in(c, c->lease.counted, address);
    take_back_in(c, c->lease.next, address);
    take_back_in(c, c->lease.heard, address);
}

static void drop_all(struct cl_core *c)
{
    struct cl_membership *all[] = {c->lease.counted, c->lease.next, c->lease.heard};
    c->lease.dropped_us = c->facts.boot_us;
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
        for (int i = 0; all[k] != NULL && i < all[k]->n; i++)
            grant_drop(c, &all[k]->voices[i]);
}

void cl_grant_take(struct cl_core *c, struct cl_membership *m, const struct cl_grant *g, uint64_t epoch)
{
    if (g->position < m->n)
        grant_put(c, &m->voices[g->position], g, epoch);
}

/* ---- which list counts ---- */

static bool heard_lately(const struct cl_core *c, const struct cl_voice *v)
{
    return v->heard_us != 0 && c->now_us - v->heard_us <= CL_VOICE_US;
}

/* A majority of the list that is only heard of has spoken lately. */
static bool majority_speaks(const struct cl_core *c)
{
    const struct cl_membership *heard = c->lease.heard;
    int count = 0;
    for (int i = 0; i < heard->n; i++)
        count += heard_lately(c, &heard->voices[i]) ? 1 : 0;
    return count >= majority(heard);
}

/* Of the list that counts a majority has gone over to the one that is heard of, so long ago at least, and each of them
 * for good: it grants nothing under the old one any more. grants: each of them does so under the new one now. */
static bool majority_moved(const struct cl_core *c, int64_t ago_us, bool grants)
{
    const struct cl_membership *counted = c->lease.counted, *heard = c->lease.heard;
    int count = 0;
    for (int i = 0; i < counted->n; i++) {
        int at = cl_list_find(list_of(heard), cl_list_at(list_of(counted), i));
        const struct cl_voice *v = at >= 0 ? &heard->voices[at] : NULL;
        bool moved = v != NULL && v->first_us != 0 && c->now_us - v->first_us >= ago_us;
        count += moved && (!grants || is_valid(v, c->facts.boot_us)) ? 1 : 0;
    }
    return count >= majority(counted);
}

/* Until all has ended that somebody granted before he went over to another list. A vote's grant may begin when an
 * earlier one has ended. */
static int64_t grants_over_us(const struct cl_core *c)
{
    int64_t longest_us = 2 * 1020 * c->lease.longest_ms;
    return longest_us > CL_VOICE_US ? longest_us : CL_VOICE_US;
}

bool cl_epochs_by_ballot(const struct cl_core *c)
{
    const struct cl_node *n;
    if (PLANTED(18, PLANTED(114, false, true), true))
        return false;
    if (cl_has_supervisors(c) || (c->lease.heard != NULL && majority_speaks(c)))
        return true;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        if (n->supervised && !cl_has(n, CL_FAILED | CL_PFAIL | CL_HANDSHAKE))
            return true;
    return false;
}

/* What is forgotten with it must not come back by a late message. */
static void forget(struct cl_core *c, struct cl_membership **m)
{
    if (*m == NULL)
        return;
    c->lease.dropped_us = c->facts.boot_us;
    free(*m);
    *m = NULL;
}

static void refuse_list(struct cl_core *c, cl_token token, const struct cl_membership *m, const char *what)
{
    cl_effect_answer(c->fx, token, false, "STALESUPERVISORS This node %s version %" PRIu64 " of the list: %.*s", what,
                     m->version, (int)m->list_n, m->list);
}

/* A list that does not count, or not yet. NULL: the error was answered. */
static struct cl_membership *candidate(struct cl_core *c, cl_token token, const struct cl_speaker *said)
{
    struct cl_supervision *s = &c->lease;
    if (s->heard != NULL && cl_membership_is(s->heard, said->version, said->list))
        return s->heard;
    if (s->heard != NULL && said->version <= s->heard->version && c->now_us - s->heard_us <= CL_VOICE_US) {
        refuse_list(c, token, s->heard, "has heard of");
        return NULL;
    }
    forget(c, &s->heard);
    s->heard = cl_membership_new(said->version, said->list);
    return s->heard;
}

struct cl_membership *cl_speaker_heard(struct cl_core *c, cl_token token, const struct cl_speaker *said)
{
    struct cl_supervision *s = &c->lease;
    struct cl_membership *now = s->next != NULL ? s->next : s->counted, *m;
    if (said->position < 0 || cl_list_at(said->list, said->position).n == 0) {
        cl_effect_answer(c->fx, token, false, "ERR The list of supervisors has no position %d", said->position);
        return NULL;
    }
    if (s->next != NULL && cl_membership_is(s->next, said->version, said->list))
        return s->next;
    if (s->counted != NULL && cl_membership_is(s->counted, said->version, said->list))
        return s->counted;
    if (now != NULL && said->version <= now->version) {
        refuse_list(c, token, now, "counts");
        return NULL;
    }
    m = candidate(c, token, said);
    if (m != NULL)
        s->heard_us = c->now_us;
    return m;
}

static void adopt(struct cl_core *c, struct cl_membership *m)
{
    struct cl_supervision *s = &c->lease;
    s->heard = NULL;
    if (s->counted == NULL)
        s->floor = 0;
    CL_LOG(c, NOTICE, "Supervised by version %" PRIu64 " of a list: %.*s", m->version, (int)m->list_n, m->list);
    cl_membership_set(c, m, s->generation + 1);
}

/* What its master said last is that the shard is released: its replica waits for its next word. */
static bool waits_for_its_master(const struct cl_core *c)
{
    const struct cl_node *master = c->me->master;
    return c->lease.counted == NULL && c->lease.generation > 0 && cl_has(c->me, CL_REPLICA) && master != NULL &&
           !cl_is_stock(master);
}

/* A master that is adopted goes on as if nothing had been. One that is in a minority, or has just come back, may have
 * been replaced by the nodes themselves: grants alone must not make it take writes that it refuses now. And one that
 * counts another list may have been replaced under that: who grants under the new one knows of it only as far as it
 * was on the old one. */
static bool may_adopt(const struct cl_core *c)
{
    const struct cl_supervision *s = &c->lease;
    int64_t boot_us = c->facts.boot_us;
    if (!cl_has(c->me, CL_MASTER))
        return true;
    if (s->counted == NULL && (!cl_is_sure(c) || cl_replaced_by(c) != NULL))
        return false;
    bool leased = until_of(s->heard, boot_us, NULL) > boot_us;
    if (s->counted == NULL)
        return leased;
    return (leased && majority_moved(c, 0, true)) ||
           (until_of(s->counted, boot_us, NULL) <= boot_us && majority_moved(c, grants_over_us(c), false));
}

static void adopt_if_agreed(struct cl_core *c)
{
    struct cl_supervision *s = &c->lease;
    if (s->heard == NULL || s->moving || waits_for_its_master(c))
        return;
    if (majority_speaks(c) && (s->counted == NULL || majority_moved(c, 0, false)) && may_adopt(c))
        adopt(c, s->heard);
}

/* Grants that last, or are to begin yet. */
static int granted(const struct cl_membership *m, int64_t boot_us)
{
    int n = 0;
    for (int i = 0; i < m->n; i++)
        n += m->voices[i].end_us > boot_us ? 1 : 0;
    return n;
}

void cl_lease_adopt(struct cl_core *c, struct cl_membership *m)
{
    bool enough = granted(m, c->facts.boot_us) >= majority(m);
    if (m == c->lease.heard && c->lease.counted == NULL && !c->lease.moving && enough)
        adopt(c, m);
}

/* ---- commands ---- */

/* It gives its lease back: what others grant to the next master does not meet it. */
static void give_back(struct cl_core *c, cl_token token, const struct cl_lease_ask *a)
{
    struct cl_supervision *s = &c->lease;
    if (!cl_has_supervisors(c))
        FAIL_WITH(c, token, "This node is not supervised: it has no lease");
    if (cl_has(c->me, CL_MASTER) && a->epoch <= c->me->config_epoch)
        FAIL_WITH(c, token, "Epoch %" PRIu64 " is not above %" PRIu64 ", with which this node claims its slots",
                  a->epoch, c->me->config_epoch);
    drop_all(c);
    cl_lease_find(c);
    if (s->floor < a->epoch)
        s->floor = a->epoch;
    CL_LOG(c, NOTICE, "The lease is given back for epoch %" PRIu64, a->epoch);
    cl_answer_durable(c, token, "OK");
}

void cl_lease_command(struct cl_core *c, cl_token token, const struct cl_lease_ask *a)
{
    if (a->epoch >= CL_EPOCH_MAX)
        FAIL_WITH(c, token, "Invalid epoch %" PRIu64, a->epoch);
    if (a->ttl_ms < 0 || a->ttl_ms > CL_LEASE_MS_MAX)
        FAIL_WITH(c, token, "Invalid time of a lease: %" PRId64 " ms", a->ttl_ms);
    struct cl_membership *m = cl_speaker_heard(c, token, &a->speaker);
    if (m == NULL)
        return;
    struct cl_voice *v = &m->voices[a->speaker.position];
    voice_heard(c, v);
    if (c->lease.longest_ms < a->ttl_ms)
        c->lease.longest_ms = a->ttl_ms;
    if (a->give_back) {
        give_back(c, token, a);
        return;
    }
    if (a->ttl_ms == 0)
        take_back(c, cl_list_at(a->speaker.list, a->speaker.position));
    else if (a->epoch <= c->me->config_epoch) /* what is decided at a newer one TAKEOVER has to bring (SAFETY E5) */
        grant_put(c, v, &(struct cl_grant){.stamp = a->stamp, .ttl_ms = a->ttl_ms}, a->epoch);
    cl_lease_find(c);
    cl_state_leased(c);
    cl_effect_answer(c->fx, token, true, "OK");
}

/* true: a majority of the list that counts has said so lately. */
static bool majority_releases(const struct cl_core *c, const struct cl_membership *m)
{
    int count = 0;
    for (int i = 0; i < m->n; i++)
        count += m->voices[i].release_us != 0 && c->now_us - m->voices[i].release_us <= CL_RELEASE_US ? 1 : 0;
    return m == c->lease.counted && count >= majority(m);
}

void cl_release(struct cl_core *c, cl_token token, const struct cl_lease_ask *word)
{
    if (!cl_has_supervisors(c))
        FAIL_WITH(c, token, "This node is not supervised");
    if (c->lease.moving && c->lease.next == NULL) { /* its release is on its way to the disk */
        cl_answer_durable(c, token, "OK");
        return;
    }
    if (word != NULL) {
        struct cl_membership *m = cl_speaker_heard(c, token, &word->speaker);
        if (m == NULL)
            return;
        m->voices[word->speaker.position].release_us = monotonic(c);
        if (!majority_releases(c, m)) {
            cl_effect_answer(c->fx, token, true, "OK");
            return;
        }
    }
    cl_lease_reset(c);
    CL_LOG(c, WARNING, "Released by %s: this node elects and votes by itself again",
           word != NULL ? "its supervisors" : "an operator");
    cl_answer_durable(c, token, "OK");
}

void cl_lease_reset(struct cl_core *c)
{
    struct cl_supervision *s = &c->lease;
    forget(c, &s->heard);
    s->floor = 0;
    if (cl_has_supervisors(c))
        cl_membership_set(c, NULL, s->generation + 1);
}

/* ---- at the end of each step ---- */

/* One of a majority knows of every swap that was decided, and grants to nobody who lacks it. */
static bool is_granted(const struct cl_core *c)
{
    const struct cl_membership *m = c->lease.counted;
    return m == NULL || granted(m, c->facts.boot_us) >= majority(m);
}

void cl_lease_run(struct cl_core *c)
{
    if (c->mapping_doubted && (is_granted(c) || !cl_has(c->me, CL_MASTER))) {
        c->mapping_doubted = false;
        c->version++;
    }
    if (c->lease.counted == NULL && c->lease.heard == NULL)
        return;
    adopt_if_agreed(c);
    cl_lease_find(c);
}

void cl_lease_persisted(struct cl_core *c)
{
    struct cl_supervision *s = &c->lease;
    if (c->claim.generation != s->generation)
        return;
    if (!s->moving) {
        if (s->told < s->generation)
            cl_supervised_tell(c);
        return;
    }
    forget(c, &s->counted);
    s->counted = s->next;
    s->next = NULL;
    s->moving = false;
    c->supervised = cl_has_supervisors(c);
    c->looks = true;
    c->version++;
    cl_lease_find(c);
    cl_supervised_tell(c);
}
