#include "nodectl/asking.h"

#include "common/base/text.h"
#include "nodectl/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 2000

static const char *value_or(const struct command_call *call, const char *option, const char *otherwise)
{
    const char *value = command_value(call, option);
    return value != NULL ? value : otherwise != NULL ? otherwise : "";
}

int asking_read(const struct command_call *call, struct asking *a)
{
    const char *format = value_or(call, "--output", "table"), *timeout = command_value(call, "--timeout-ms");
    int64_t ms = TIMEOUT_MS;
    *a = (struct asking){.json = strcmp(format, "json") == 0};
    if (!a->json && strcmp(format, "table") != 0)
        return command_fail(call, EXIT_USAGE, "--output is '%s', but must be table or json", format);
    if (timeout != NULL && !text_range(slice_of(timeout), 1, 600000, &ms))
        return command_fail(call, EXIT_USAGE, "--timeout-ms is '%s', but must be a number from 1 to 600000", timeout);
    a->timeout_ms = (int)ms;
    a->user = value_or(call, "--user", NULL);
    a->password = value_or(call, "--password", getenv("NODECTL_PASSWORD"));
    if (a->user[0] != '\0' && a->password[0] == '\0')
        return command_fail(call, EXIT_USAGE, "--user needs a password: give --password, or NODECTL_PASSWORD");
    struct buf error = {0};
    bool found = targets_find(&a->targets, command_value(call, "--supervisor"), command_value(call, "--config"),
                              &error);
    if (!found) {
        if (error.n > 0 && error.p[error.n - 1] == '\n')
            error.n--;
        command_fail(call, EXIT_USAGE, "%s", buf_str(&error));
    }
    buf_free(&error);
    return found ? EXIT_OK : EXIT_USAGE;
}

void asking_free(struct asking *a)
{
    targets_free(&a->targets);
}

void asking_begin(const struct asking *a, struct fleet *f)
{
    fleet_init(f, a->timeout_ms);
    for (size_t i = 0; i < a->targets.supervisors.n; i++) {
        bool added;
        fleet_add(f, &a->targets.supervisors.v[i], true, &added);
    }
}

size_t asking_login(const struct asking *a, struct fleet_member *m)
{
    if (a->password[0] == '\0')
        return 0;
    const char *with_user[] = {"AUTH", a->user, a->password}, *without[] = {"AUTH", a->password};
    if (a->user[0] != '\0')
        fleet_ask(m, 3, with_user);
    else
        fleet_ask(m, 2, without);
    return 1;
}

bool asking_nobody(const struct command_call *call, const struct asking *a, const struct fleet *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->members[i]->error == NULL)
            return false;
    command_fail(call, EXIT_NOBODY, "no supervisor can be asked (they are named by %s):", a->targets.source);
    for (size_t i = 0; i < f->n; i++) {
        char text[ADDR_TEXT_MAX];
        fprintf(stderr, "  %s: ", addr_text(&f->members[i]->addr, text));
        print_painted(stderr, false, PAINT_NONE, f->members[i]->error);
        fputc('\n', stderr);
    }
    return true;
}
