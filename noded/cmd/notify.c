#include "noded/cmd/notify.h"

#include "noded/cmd/pubsub.h"

#include <string.h>

/* The letters of notify-keyspace-events in the order in which CONFIG GET shows them. */
static const struct {
    char letter;
    int class;
} letters[] = {
    {'g', ND_EV_GENERIC}, {'$', ND_EV_STRING},   {'l', ND_EV_LIST},     {'s', ND_EV_SET},      {'h', ND_EV_HASH},
    {'z', ND_EV_ZSET},    {'x', ND_EV_EXPIRED},  {'e', ND_EV_EVICTED},  {'t', ND_EV_STREAM},   {'d', ND_EV_MODULE},
    {'n', ND_EV_NEW},     {'K', ND_EV_KEYSPACE}, {'E', ND_EV_KEYEVENT}, {'m', ND_EV_KEY_MISS},
};

int nd_notify_parse(struct slice s)
{
    int classes = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == 'A') {
            classes |= ND_EV_ALL;
            continue;
        }
        int class = 0;
        for (size_t j = 0; j < sizeof letters / sizeof letters[0]; j++)
            if (letters[j].letter == s.p[i])
                class = letters[j].class;
        if (class == 0)
            return -1;
        classes |= class;
    }
    return classes;
}

void nd_notify_text(int classes, struct buf *out)
{
    bool all = (classes & ND_EV_ALL) == ND_EV_ALL;
    if (all)
        buf_putc(out, 'A');
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++) {
        if (all && (letters[i].class & (ND_EV_ALL | ND_EV_NEW)) != 0) /* 'n' is not shown beside A */
            continue;
        if ((classes & letters[i].class) != 0)
            buf_putc(out, letters[i].letter);
    }
}

void nd_event(struct nd_engine *e, int class, const char *event, struct slice key, struct nd_db *db)
{
    int wanted = e->config.notify_events;
    if ((wanted & class) == 0 || e->loading)
        return;
    struct buf channel = {0};
    if ((wanted & ND_EV_KEYSPACE) != 0) {
        buf_printf(&channel, "__keyspace@%d__:", nd_db_number(db));
        buf_put(&channel, key.p, key.n);
        nd_publish(e, ND_CHANNEL, buf_slice(&channel), slice_of(event));
        buf_clear(&channel);
    }
    if ((wanted & ND_EV_KEYEVENT) != 0) {
        buf_printf(&channel, "__keyevent@%d__:%s", nd_db_number(db), event);
        nd_publish(e, ND_CHANNEL, buf_slice(&channel), key);
    }
    buf_free(&channel);
}
