/* What `nodectl fleet watch` shows: the document of status_merge() and the last events, drawn to a screen of any size.
 * No sockets, no terminal. */
#ifndef NODECTL_VIEW_WATCH_H
#define NODECTL_VIEW_WATCH_H

#include "nodectl/view/screen.h"

#include <jansson.h>
#include <stdint.h>

enum watch_order { WATCH_BY_NAME, WATCH_BY_TROUBLE, WATCH_BY_LAG, WATCH_BY_OPS, WATCH_ORDERS };
const char *watch_order_name(enum watch_order o);

struct watch {
    const json_t *status; /* NULL: nothing was heard yet */
    const json_t *events; /* of past_events(), the newest last (wall_ms, event, text); NULL: none are told */
    int64_t age_ms;       /* how long ago that was told */
    int64_t wall_ms;      /* when; for the clock in the corner */
    bool paused;
    enum watch_order order;
    int first; /* the first row that is shown; kept within what there is */
    int page;  /* out: rows of groups on the screen */
};

/* Rows and columns that do not fit are left out; what matters most goes last. */
void watch_draw(struct watch *w, struct screen *s);

/* "12.3 MB" */
#define WATCH_SIZE_MAX 24
const char *watch_size(int64_t bytes, char text[WATCH_SIZE_MAX]);

#endif
