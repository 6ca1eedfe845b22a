#include "sentineld/core/lease.h"
#include "sentineld/core/plant.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What runs 1 % slower there has lasted longer here. */
static int64_t longer(int64_t us)
{
    return us + us / 100 + 1;
}

static bool is_grantee(const struct sn_lease *l, const char *node)
{
    return l->grantee[0] != '\0' && runid_cmp(l->grantee, node) == 0;
}

static void later(int64_t *end, int64_t at)
{
    if (*end < at)
        *end = at;
}

void sn_lease_restore(struct sn_lease *l, const char *grantee, int64_t max_ttl_us, bool settled, int64_t now_us)
{
    memcpy(l->grantee, grantee, sizeof l->grantee);
    l->max_ttl_us = max_ttl_us;
    l->end_us = max_ttl_us > 0 ? now_us + longer(max_ttl_us) : 0;
    /* Whom it came after is forgotten, and may have had a grant just before it. */
    l->old_end_us = PLANTED(113, settled, true) ? 0 : l->end_us;
    l->settled = settled;
}

bool sn_lease_name(struct sn_lease *l, const char *node, int64_t ttl_us, int64_t now_us)
{
    bool durable = false;
    if (ttl_us > l->max_ttl_us) {
        l->max_ttl_us = ttl_us;
        durable = true;
    }
    if (is_grantee(l, node))
        return durable;
    bool alone = l->old_end_us <= now_us; /* nobody but the grantee has a grant */
    if (PLANTED(112, l->end_us > now_us, false))
        later(&l->old_end_us, l->end_us);
    if (alone)
        memcpy(l->former, l->grantee, sizeof l->former);
    else
        l->former[0] = '\0';
    l->settled = l->old_end_us <= now_us;
    l->end_us = now_us;
    memcpy(l->grantee, node, sizeof l->grantee);
    return true;
}

bool sn_lease_grant(struct sn_lease *l, const char *node, const struct sn_stamp *stamp, int64_t ttl_us, int64_t now_us,
                    struct sn_grant *out)
{
    if (!is_grantee(l, node) || stamp->incarnation == 0 || ttl_us <= 0)
        return false;
    *out = (struct sn_grant){.stamp = *stamp, .ttl_us = ttl_us};
    /* The stamp was made after its request was sent; so much of the node's clock has passed at most until then. */
    if (l->old_end_us > now_us)
        out->wait_us = longer(l->old_end_us - stamp->asked_us);
    later(&l->end_us, now_us + longer(ttl_us));
    return true;
}

bool sn_lease_settle(struct sn_lease *l, int64_t now_us)
{
    if (l->settled || l->grantee[0] == '\0' || l->old_end_us > now_us)
        return false;
    l->settled = true;
    return true;
}

bool sn_lease_unname(struct sn_lease *l, int64_t now_us)
{
    if (l->former[0] == '\0') { /* several grants are still out: they are waited for */
        l->end_us = now_us;
        return false;
    }
    memcpy(l->grantee, l->former, sizeof l->grantee);
    l->former[0] = '\0';
    l->end_us = l->old_end_us;
    l->old_end_us = 0;
    l->settled = true;
    return true;
}

void sn_lease_returned(struct sn_lease *l, const char *node, int64_t now_us)
{
    if (is_grantee(l, node) && l->end_us > now_us)
        l->end_us = now_us;
    if (l->former[0] != '\0' && runid_cmp(l->former, node) == 0 && l->old_end_us > now_us)
        l->old_end_us = now_us;
}

int64_t sn_lease_others_until(const struct sn_lease *l, const char *node)
{
    return !is_grantee(l, node) && l->end_us > l->old_end_us ? l->end_us : l->old_end_us;
}

void sn_grant_text(char out[SN_GRANT_TEXT], int position, const struct sn_grant *g)
{
    snprintf(out, SN_GRANT_TEXT, "%d/%016" PRIx64 "/%" PRId64 "/%" PRId64 "/%" PRId64, position, g->stamp.incarnation,
             g->stamp.clock_us, g->ttl_us / 1000, (g->wait_us + 999) / 1000);
}
