/* What every command has that changes something: a plan of steps, shown before anything is done; the question for a
 * yes; the steps as they are done; and one document for programs. A step is written so that the same command, given
 * again, finds what is done and goes on: no step is kept in a file. A verb that can't sets `go_on`.
 *
 *     int code = change_begin(&c, call, &asking);             (--yes, --dry-run; refuses when nobody can be asked)
 *     ... look at the fleet, change_step(&c, ...) for each step ...
 *     if (change_agreed(&c, "Removal of node 127.0.0.1:7003", "Remove it now?"))
 *         for (i...) { change_now(&c, i); if (!work(&why)) { change_failed(&c, ...); break; } change_did(&c, i); }
 *     return change_end(&c, document);
 *
 * People read all of it on asking_people(); a program gets the document alone on standard output. */
#ifndef NODECTL_CHANGE_H
#define NODECTL_CHANGE_H

#include "nodectl/asking.h"
#include "nodectl/interrupt.h"

#include <jansson.h>

/* Rows of a command's options. */
#define CHANGE_OPTIONS                                          \
    {"--yes", "-y", NULL, "do it without asking"},              \
    {                                                           \
        "--dry-run", NULL, NULL, "show the plan and do nothing" \
    }

struct change {
    const struct command_call *call;
    const struct asking *asking;
    bool yes, dry, agreed;
    json_t *steps;      /* [{ "step": text, "state": "planned" | "begun" | "done" | "skipped" | "failed" }] */
    struct buf about;   /* lines shown between the title of the plan and its steps */
    struct buf warned;  /* lines shown below it */
    struct buf failure; /* why it did not succeed; empty: it did */
    const char *go_on;  /* after a failure: how to go on; NULL: by the same command, when steps are done */
    size_t done;
    int64_t began_ms; /* the step that is under way */
};

/* EXIT_OK, or EXIT_USAGE: nobody can be asked, which was said. Ctrl-C is caught from here on. change_end() only after
 * EXIT_OK. */
int change_begin(struct change *c, const struct command_call *call, const struct asking *asking);
/* Adds a step to the plan; returns its number, from 0. */
size_t change_step(struct change *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Adds a line that is shown between the title and the steps. */
void change_about(struct change *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Adds a line that is shown below the plan. */
void change_warn(struct change *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Shows the plan under its title and asks. false: --dry-run, or nobody said yes, or there is no step, or it has failed
 * already; change_end() says the rest. */
bool change_agreed(struct change *c, const char *title, const char *question);
/* The same with a word to be typed instead of y, for what cannot be undone; --yes answers it too. */
bool change_agreed_by_word(struct change *c, const char *title, const char *question, const char *word);

/* A step begins: "[2/5] ...". false: Ctrl-C was pressed, the step is not to be begun, and the failure says so. */
bool change_now(struct change *c, size_t step);
void change_did(struct change *c, size_t step);     /* ... and is done: "ok", with what it took */
void change_skipped(struct change *c, size_t step); /* it was done already */
/* The step that is under way failed, or what comes before the plan did. The first failure stays. */
void change_failed(struct change *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Says what came of it. A program gets `extra` (an object, or NULL; taken) with "ok", "dry_run", "steps", "done" and
 * "failure" added. Returns EXIT_OK, or EXIT_FAILED or EXIT_INTERRUPTED with how many steps were done and how to go
 * on. */
int change_end(struct change *c, json_t *extra);

#endif
