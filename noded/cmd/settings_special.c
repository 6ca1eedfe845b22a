/* Settings that are more than one value of a simple kind. */
#include "noded/cmd/settings_row.h"

#include "common/base/addr.h"
#include "common/base/text.h"
#include "noded/cmd/notify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool refuse(struct buf *why, const char *text)
{
    buf_puts(why, text);
    return false;
}

/* `save ""` and the like: one empty word. */
static bool is_empty(const struct slice *words, size_t n)
{
    return n == 0 || (n == 1 && words[0].n == 0);
}

bool nd_set_bind(const struct nd_setting *s, struct nd_config *c, const struct slice *words, size_t n, struct buf *why)
{
    if (is_empty(words, n))
        n = 0;
    if (n > ND_BINDS_MAX)
        return refuse(why, "Too many bind addresses specified.");
    nd_setting_put_words(s, c, words, n);
    return true;
}

/* ---- client-output-buffer-limit ---- */

static const char *const class_names[ND_CLASSES] = {"normal", "slave", "pubsub"};

static int class_of(struct slice word)
{
    for (int i = 0; i < ND_CLASSES; i++) {
        if (slice_ieq(word, class_names[i]))
            return i;
    }
    return slice_ieq(word, "replica") ? ND_CLASS_REPLICA : -1;
}

bool nd_set_output_limit(const struct nd_setting *s, struct nd_config *c, const struct slice *words, size_t n,
                         struct buf *why)
{
    struct nd_output_limit limits[ND_CLASSES];
    memcpy(limits, c->output, sizeof limits);
    if (is_empty(words, n))
        return true;
    if (n % 4 != 0)
        return refuse(why, "Wrong number of arguments in buffer limit configuration.");
    for (size_t i = 0; i < n; i += 4) {
        int class = class_of(words[i]);
        struct nd_output_limit l;
        if (class < 0)
            return refuse(why, "Invalid client class specified in buffer limit configuration.");
        if (!nd_setting_bytes(words[i + 1], &l.hard_bytes) || !nd_setting_bytes(words[i + 2], &l.soft_bytes) ||
            !text_i64(words[i + 3], &l.soft_seconds) || l.soft_seconds < 0)
            return refuse(why, "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
        limits[class] = l;
    }
    memcpy(nd_setting_place(s, c), limits, sizeof limits);
    return true;
}

void nd_get_output_limit(const struct nd_setting *s, const struct nd_config *c, struct buf *out)
{
    (void)s;
    for (int i = 0; i < ND_CLASSES; i++)
        buf_printf(out, "%s%s %" PRId64 " %" PRId64 " %" PRId64, i > 0 ? " " : "", class_names[i],
                   c->output[i].hard_bytes, c->output[i].soft_bytes, c->output[i].soft_seconds);
}

/* ---- notify-keyspace-events ---- */

bool nd_set_notify(const struct nd_setting *s, struct nd_config *c, const struct slice *words, size_t n,
                   struct buf *why)
{
    (void)n;
    int classes = nd_notify_parse(words[0]);
    if (classes < 0)
        return refuse(why, "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
    *(int *)nd_setting_place(s, c) = classes;
    return true;
}

void nd_get_notify(const struct nd_setting *s, const struct nd_config *c, struct buf *out)
{
    nd_notify_text(*(int *)nd_setting_place(s, c), out);
}

/* ---- numbers ---- */

bool nd_set_hz(const struct nd_setting *s, struct nd_config *c, const struct slice *words, size_t n, struct buf *why)
{
    int64_t v;
    (void)n;
    if (!nd_setting_number(s, words[0], &v, why))
        return false;
    c->hz = v < 1 ? 1 : v > 500 ? 500 : v;
    return true;
}

#define BACKLOG_LEAST 16384
bool nd_set_backlog_size(const struct nd_setting *s, struct nd_config *c, const struct slice *words, size_t n,
                         struct buf *why)
{
    int64_t v;
    (void)n;
    if (!nd_setting_bytes(words[0], &v))
        return refuse(why, "argument must be a memory value");
    if (v < s->min || v == s->max) {
        buf_printf(why, "argument must be between %" PRId64 " and %" PRId64 " inclusive", s->min, s->max);
        return false;
    }
    c->repl_backlog_size = v < BACKLOG_LEAST ? BACKLOG_LEAST : v;
    return true;
}

bool nd_set_memory_or_percent(const struct nd_setting *s, struct nd_config *c, const struct slice *words, size_t n,
                              struct buf *why)
{
    int64_t v;
    (void)n;
    struct slice word = words[0];
    if (word.n > 0 && word.p[word.n - 1] == '%') {
        if (!text_i64((struct slice){word.p, word.n - 1}, &v) || v < 0)
            return refuse(why, "argument must be a memory or percent value");
        if (v > 100)
            return refuse(why, "percentage argument must be less or equal to 100");
        v = -v;
    } else if (!nd_setting_bytes(word, &v)) {
        return refuse(why, "argument must be a memory or percent value");
    }
    *(int64_t *)nd_setting_place(s, c) = v;
    return true;
}

void nd_get_memory_or_percent(const struct nd_setting *s, const struct nd_config *c, struct buf *out)
{
    int64_t v = *(int64_t *)nd_setting_place(s, c);
    if (v < 0)
        buf_printf(out, "%" PRId64 "%%", -v);
    else
        buf_printf(out, "%" PRId64, v);
}

/* ---- words ---- */

bool nd_set_save(const struct nd_setting *s, struct nd_config *c, const struct slice *words, size_t n, struct buf *why)
{
    if (is_empty(words, n))
        n = 0;
    bool good = n % 2 == 0;
    for (size_t i = 0; i < n && good; i++) {
        int64_t v;
        good = text_range(words[i], i % 2 == 0 ? 1 : 0, INT32_MAX, &v);
    }
    if (!good)
        return refuse(why, "Invalid save parameters");
    nd_setting_put_words(s, c, words, n);
    return true;
}

/* As a number is shown: "50" for "50.00". */
static bool put_percentile(struct slice word, struct buf *all, struct buf *why)
{
    char text[64], *end;
    if (word.n == 0 || word.n >= sizeof text)
        return refuse(why, "Invalid latency-tracking-info-percentiles parameters");
    memcpy(text, word.p, word.n);
    text[word.n] = '\0';
    double v = strtod(text, &end);
    if (*end != '\0')
        return refuse(why, "Invalid latency-tracking-info-percentiles parameters");
    if (!(v >= 0 && v <= 100))
        return refuse(why, "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]");
    buf_printf(all, "%s%.10g", all->n > 0 ? " " : "", v);
    return true;
}

bool nd_set_percentiles(const struct nd_setting *s, struct nd_config *c, const struct slice *words, size_t n,
                        struct buf *why)
{
    if (is_empty(words, n))
        n = 0;
    struct buf all = {0};
    bool good = true;
    for (size_t i = 0; i < n && good; i++)
        good = put_percentile(words[i], &all, why);
    struct slice whole = buf_slice(&all);
    if (good)
        nd_setting_put_words(s, c, &whole, 1);
    buf_free(&all);
    return good;
}

bool nd_set_replicaof(const struct nd_setting *s, struct nd_config *c, const struct slice *words, size_t n,
                      struct buf *why)
{
    int64_t port;
    if (is_empty(words, n) || (n == 2 && slice_ieq(words[0], "no") && slice_ieq(words[1], "one"))) {
        nd_setting_put_words(s, c, words, 0);
        return true;
    }
    if (n != 2)
        return refuse(why, "wrong number of arguments");
    if (!text_range(words[1], 0, 65535, &port))
        return refuse(why, "Invalid master port");
    nd_setting_put_words(s, c, words, n);
    return true;
}

static const char *const shutdown_words[] = {"save", "nosave", "now", "force"};
#define SHUTDOWN_WORDS (sizeof shutdown_words / sizeof *shutdown_words)

bool nd_set_shutdown(const struct nd_setting *s, struct nd_config *c, const struct slice *words, size_t n,
                     struct buf *why)
{
    bool given[SHUTDOWN_WORDS] = {false};
    for (size_t i = 0; i < n; i++) {
        bool known = slice_ieq(words[i], "default");
        for (size_t w = 0; w < SHUTDOWN_WORDS; w++) {
            if (slice_ieq(words[i], shutdown_words[w]))
                known = given[w] = true;
        }
        if (!known)
            return refuse(why, "argument(s) must be one of the following: default, save, nosave, now, force");
    }
    if (given[0] && given[1])
        return refuse(why, "shutdown options SAVE and NOSAVE can't be used simultaneously");
    struct slice shown[SHUTDOWN_WORDS + 1];
    size_t count = 0;
    for (size_t w = 0; w < SHUTDOWN_WORDS; w++) {
        if (given[w])
            shown[count++] = slice_of(shutdown_words[w]);
    }
    if (count == 0)
        shown[count++] = slice_of("default");
    nd_setting_put_words(s, c, shown, count);
    return true;
}

bool nd_set_oom_values(const struct nd_setting *s, struct nd_config *c, const struct slice *words, size_t n,
                       struct buf *why)
{
    if (n != 3)
        return refuse(why, "wrong number of arguments");
    for (size_t i = 0; i < n; i++) {
        int64_t v;
        if (!text_range(words[i], -2000, 2000, &v))
            return refuse(why, "Invalid oom-score-adj-values, elements must be between -2000 and 2000.");
    }
    nd_setting_put_words(s, c, words, n);
    return true;
}

/* ---- names ---- */

bool nd_set_hostname(const struct nd_setting *s, struct nd_config *c, const struct slice *words, size_t n,
                     struct buf *why)
{
    (void)n;
    if (words[0].n > ADDR_HOST_MAX)
        return refuse(why, "Hostnames must be less than 256 characters");
    for (size_t i = 0; i < words[0].n; i++) {
        char ch = words[0].p[i];
        bool good = (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '-' ||
                    ch == '.';
        if (!good)
            return refuse(why, "Hostnames may only contain alphanumeric characters, hyphens or dots");
    }
    nd_setting_put_text(s, c, words[0]);
    return true;
}

bool nd_set_file_name(const struct nd_setting *s, struct nd_config *c, const struct slice *words, size_t n,
                      struct buf *why)
{
    (void)n;
    if (memchr(words[0].p, '/', words[0].n) != NULL) {
        buf_printf(why, "%s can't be a path, just a filename", s->name);
        return false;
    }
    if (words[0].n == 0) {
        buf_printf(why, "%s can't be empty", s->name);
        return false;
    }
    nd_setting_put_text(s, c, words[0]);
    return true;
}
