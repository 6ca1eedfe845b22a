/* nodectl slots check. */
#include "nodectl/slots/commands.h"

#include "nodectl/reply_json.h"
#include "nodectl/slots/findings.h"
#include "nodectl/slots/session.h"
#include "nodectl/table.h"

#include <stdlib.h>
#include <string.h>

static void print_document(const struct session *s, const struct findings *f)
{
    json_t *list = json_array(), *o = json_object();
    for (size_t i = 0; i < f->n; i++) {
        const struct finding *x = &f->v[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:o, s:s}", "code", x->code, "level", finding_level_name(x->level),
                                        "text", json_text(x->text, strlen(x->text)), "advice", x->advice));
    }
    json_object_set_new(o, "ok", json_boolean(findings_count(f) == 0));
    json_object_set_new(o, "nodes", json_integer((json_int_t)s->picture.n));
    json_object_set_new(o, "slots_covered", json_integer((json_int_t)s->picture.covered));
    json_object_set_new(o, "findings", list);
    output_document(s->asking.format, o);
    json_decref(o);
}

static void print(const struct session *s, const struct findings *f)
{
    static const enum paint paints[] = {
        [FINDING_ERROR] = PAINT_BAD, [FINDING_WARNING] = PAINT_WARN, [FINDING_NOTE] = PAINT_NONE};
    bool colour = colour_wanted(stdout);
    size_t masters = 0;
    for (size_t i = 0; i < s->picture.n; i++)
        masters += s->picture.v[i].master;
    for (size_t i = 0; i < f->n; i++) {
        const struct finding *x = &f->v[i];
        print_line(stdout, colour, paints[x->level], "%s %s: %s", finding_level_name(x->level), x->code, x->text);
        print_line(stdout, colour, PAINT_NONE, "    %s", x->advice);
    }
    bool ok = findings_count(f) == 0;
    print_line(stdout, colour, ok ? PAINT_GOOD : PAINT_BAD,
               "%zu nodes, %zu of them masters; %zu of %d slots covered: %s", s->picture.n, masters, s->picture.covered,
               SN_SLOTS, ok ? "no finding" : "see above");
}

int slots_run_check(const struct command_call *call)
{
    struct session s;
    struct survey survey = {0};
    struct findings findings = {0};
    struct buf why = {0};
    int code = session_read(&s, call);
    s.tells_strangers = true;
    if (code == EXIT_OK)
        code = session_look(&s);
    if (code == EXIT_OK && !survey_take(&survey, &s.picture, &why))
        code = command_fail(call, EXIT_FAILED, "%s", buf_str(&why));
    if (code == EXIT_OK) {
        findings_make(&s.picture, &survey, &findings);
        if (s.asking.document)
            print_document(&s, &findings);
        else
            print(&s, &findings);
        code = findings_count(&findings) == 0 ? EXIT_OK : EXIT_FAILED;
    }
    findings_free(&findings);
    survey_free(&survey);
    buf_free(&why);
    session_end(&s);
    return code;
}
