/* rows.c - see rows.h. */
#include "api/rows.h"

void event_encode(struct json_out *out, const struct event *event)
{
    json_out_open(out, NULL, '{');
    json_out_text(out, "id", event->id);
    json_out_text(out, "object", "fine_tuning.job.event");
    json_out_integer(out, "created_at", event->created_at);
    json_out_text(out, "level", event->level);
    json_out_text(out, "message", event->message);
    json_out_text(out, "type", event->type);
    json_out_raw(out, "data", json_raw_of(event->data));
    json_out_close(out, '}');
}

void series_encode(struct json_out *out, const struct series_row *row)
{
    json_out_open(out, NULL, '{');
    json_out_integer(out, "step", (int64_t)row->step);
    json_out_integer(out, "created_at", row->created_at);
    json_out_members(out, json_raw_of(row->json), "step");
    json_out_close(out, '}');
}
