/* nodectl slots rebalance. */
#include "nodectl/slots/commands.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/duration.h"
#include "nodectl/slots/rebalance.h"
#include "nodectl/slots/session.h"

#include <stdlib.h>
#include <string.h>

#define THRESHOLD 2 /* as redis-cli's */
#define WEIGHT_MAX 1000000
#define OVER_MS 2000
#define OVER_MAX_MS 600000

/* A decimal number from 0 on, the whole word. */
static bool read_number(const char *text, double max, double *out)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    *out = strtod(text, &end);
    return *end == '\0' && *out >= 0 && *out <= max;
}

static int read_by(const struct command_call *call, struct rebalance *r)
{
    static const char *const names[] = {
        [REBALANCE_SLOTS] = "slots", [REBALANCE_KEYS] = "keys", [REBALANCE_MEMORY] = "memory", [REBALANCE_OPS] = "ops"};
    const char *by = command_value(call, "--by"), *threshold = command_value(call, "--threshold"),
               *over = command_value(call, "--over");
    int64_t over_ms = OVER_MS;
    *r = (struct rebalance){.threshold = THRESHOLD,
                            .skip_empty_masters = command_value(call, "--skip-empty-masters") != NULL};
    if (threshold != NULL && !read_number(threshold, 1000, &r->threshold))
        return command_fail(call, EXIT_USAGE, "--threshold is '%s', but must be percent, as 2 or 0.5", threshold);
    if (over != NULL && !duration_parse(over, 1, OVER_MAX_MS, &over_ms))
        return command_fail(call, EXIT_USAGE, "--over is '%s', but must be a time up to 10m, as 500ms or 30s", over);
    r->ops_ms = (int)over_ms;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (by == NULL || strcmp(by, names[i]) == 0) {
            r->by = (enum rebalance_by)i;
            return EXIT_OK;
        }
    }
    return command_fail(call, EXIT_USAGE, "--by is '%s', but must be slots, keys, memory or ops", by);
}

/* "NODE=WEIGHT,NODE=WEIGHT" */
static bool read_weights(struct session *s, struct rebalance_weight **out, size_t *n, struct buf *why)
{
    const char *text = command_value(s->call, "--weight");
    for (struct slice rest = slice_of(text); rest.n > 0;) {
        struct slice part = slice_cut(&rest, ',');
        char *word = slice_dup(part), *value = strrchr(word, '=');
        double weight;
        bool ok = value != NULL && read_number(value + 1, WEIGHT_MAX, &weight);
        const struct picture_node *node = NULL;
        if (!ok) {
            buf_printf(why, "--weight has '%s', but must be NODE=NUMBER, as 127.0.0.1:7003=2", word);
        } else {
            *value = '\0';
            node = session_master(s, word, why);
        }
        if (node != NULL) {
            *out = mem_array(*out, *n + 1, sizeof **out);
            (*out)[*n] = (struct rebalance_weight){.weight = weight};
            memcpy((*out)[(*n)++].id, node->id, sizeof(runid));
        }
        free(word);
        if (node == NULL)
            return false;
    }
    return true;
}

static int perform(struct session *s, struct rebalance r, const struct mover *how)
{
    struct change c;
    struct slot_moves moves = {0};
    struct buf why = {0}, note = {0};
    int code = change_begin(&c, s->call, &s->asking);
    r.note = &note;
    if (code != EXIT_OK)
        return code;
    if (s->picture.covered < SN_SLOTS)
        change_failed(&c, "%zu slots are nobody's: see `nodectl slots check` and `nodectl slots fix`",
                      SN_SLOTS - s->picture.covered);
    else if (!rebalance_moves(&s->picture, &r, &moves, &why))
        change_failed(&c, "%s", buf_str(&why));
    if (note.n > 0)
        change_warn(&c, "%s", buf_str(&note));
    code = slots_carry_out(&c, &s->picture, &moves, how, NULL, "Rebalance");
    slot_moves_free(&moves);
    buf_free(&note);
    buf_free(&why);
    return code;
}

int slots_run_rebalance(const struct command_call *call)
{
    struct rebalance r;
    struct mover how;
    struct session s;
    struct rebalance_weight *weights = NULL;
    struct buf why = {0};
    int code = session_read(&s, call);
    if (code == EXIT_OK)
        code = read_by(call, &r);
    if (code == EXIT_OK)
        code = mover_options(call, &how);
    if (code == EXIT_OK)
        code = session_look(&s);
    if (code == EXIT_OK && !read_weights(&s, &weights, &r.nweights, &why))
        code = command_fail(call, EXIT_USAGE, "%s", buf_str(&why));
    r.weights = weights;
    if (code == EXIT_OK)
        code = perform(&s, r, &how);
    free(weights);
    buf_free(&why);
    session_end(&s);
    return code;
}
