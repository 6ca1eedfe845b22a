#include "sentineld/shell/client.h"
#include "sentineld/shell/cmd_sentinel.h"
#include "sentineld/shell/wire.h"

/* Both forms of the question between supervisors become the same event; what differs is how the answer is written. */
static void ask_core(struct call *call, struct wire_ballots *asked, bool stock)
{
    struct sn_event e = {
        .kind = SN_EV_BALLOTS,
        .text = slice_of(asked->id[0] != '\0' ? asked->id : "*"),
        .epoch = asked->epoch,
        .stock = stock,
        .ballots = asked->ballots,
        .count = asked->n,
    };
    e.token = client_defer(call, stock ? CLIENT_ANSWER_OPINION : CLIENT_ANSWER_BALLOT);
    daemon_step(call->d, &e);
    wire_ballots_free(asked);
}

void cmd_sentinel_is_master_down(struct call *call)
{
    struct wire_ballots asked;
    const char *wrong = wire_ask_decode(call->argv + 2, call->argc - 2, &asked);
    if (wrong != NULL)
        reply_error(call->r, "ERR %s", wrong);
    else
        ask_core(call, &asked, true);
}

void cmd_sentinel_ballot(struct call *call)
{
    struct wire_ballots asked;
    const char *wrong = wire_ballot_decode(call->argv + 2, call->argc - 2, &asked);
    if (wrong != NULL) {
        reply_error(call->r, "ERR %s", wrong);
        return;
    }
    if (call->c->stream != NULL)
        io_stream_first(call->c->stream); /* no vote waits behind what people ask */
    ask_core(call, &asked, false);
}
