#include "noded/cmd/notify.h"

#include "noded/cmd/pubsub.h"

void nd_event(struct nd_engine *e, int class, const char *event, struct slice key, struct nd_db *db)
{
    int wanted = e->config.notify_events;
    if ((wanted & class) == 0 || e->loading || nd_db_is_shadow(db))
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
