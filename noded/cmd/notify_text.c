/* Classes of events as notify-keyspace-events spells them. */
#include "noded/cmd/notify.h"

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
