#include "nodectl/failover_ranking.h"

#include "nodectl/reply_json.h"

#include <string.h>
#include <time.h>

#define FRESH_MS 200
#define AGAIN_MS 20

static json_t *ask(struct fleet *f, struct fleet_member *m, const char *group)
{
    const char *argv[] = {"SENTINEL", "RANKING", group};
    json_t *rows = NULL;
    fleet_ask(m, 3, argv);
    fleet_run(f);
    if (m->error == NULL && m->nreplies == 1 && m->replies[0]->type == REDIS_REPLY_ARRAY)
        rows = reply_objects(m->replies[0]);
    fleet_forget(f);
    return rows;
}

/* All that can be chosen have told of themselves within so many milliseconds. */
static bool is_fresh(const json_t *rows, int64_t within_ms)
{
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row)
    {
        if (failover_ranking_against(row) == NULL && field_number(row, "info-refresh", INT64_MAX) >= within_ms)
            return false;
    }
    return true;
}

json_t *failover_ranking(struct fleet *f, struct fleet_member *m, const char *group)
{
    int64_t start_ms = fleet_now_ms();
    json_t *rows = ask(f, m, group);
    while (rows != NULL && !is_fresh(rows, fleet_now_ms() - start_ms) && fleet_now_ms() - start_ms < FRESH_MS) {
        nanosleep(&(struct timespec){.tv_nsec = AGAIN_MS * 1000000L}, NULL);
        json_decref(rows);
        rows = ask(f, m, group);
    }
    return rows;
}

const json_t *failover_ranking_best(const json_t *ranking)
{
    const json_t *first = json_array_get(ranking, 0);
    bool good = first != NULL && (failover_ranking_against(first) == NULL || failover_ranking_by_force(first));
    return good ? first : NULL;
}

const json_t *failover_ranking_row(const json_t *ranking, const char *address)
{
    return json_named(ranking, address);
}

const char *failover_ranking_against(const json_t *row)
{
    const char *verdict = field_text(row, "verdict");
    return verdict[0] == '\0' || strcmp(verdict, "suitable") == 0 ? NULL : verdict;
}

bool failover_ranking_by_force(const json_t *row)
{
    return strcmp(field_text(row, "verdict"), "may not know what its master has promised") == 0;
}

bool failover_ranking_impaired(const json_t *row)
{
    return field_number(row, "impaired", 0) != 0;
}
