/* webhooks.c - /v1/webhooks/deliveries: what was sent to another server, for an administrator. */
#include "api/handlers.h"

#include <string.h>

#include "api/list.h"
#include "api/respond.h"
#include "daemon/webhooks.h"

#define PER_PAGE     20
#define MAX_PER_PAGE 100

static void write_delivery(struct json_out *out, const struct webhook *webhook)
{
    json_out_open(out, NULL, '{');
    json_out_text(out, "id", webhook->id);
    json_out_text(out, "object", "webhook.delivery");
    json_out_text(out, "type", webhook->type);
    json_out_text(out, "fine_tuning_job_id", webhook->job_id);
    json_out_integer(out, "created_at", webhook->created_at);
    json_out_text(out, "state", webhook->state);
    json_out_integer(out, "attempts", webhook->attempts);
    if (strcmp(webhook->state, "pending") == 0)
        json_out_integer(out, "next_attempt_at", webhook->next_at);
    else
        json_out_null(out, "next_attempt_at");
    json_out_text(out, "last_error", webhook->last_error);
    json_out_close(out, '}');
}

void api_webhook_list(struct request *r)
{
    static const struct page_rules rules = {PER_PAGE, MAX_PER_PAGE, false, NULL};
    struct page page;
    struct webhook *webhooks;
    struct prilora_error err;
    struct json_out out = {0};
    size_t n;
    bool has_more;

    if (!page_read(r, &rules, &page))
        return;
    if (webhooks_list(r->api->store, page.after, page.limit, &webhooks, &n, &has_more, &err) !=
        PRILORA_OK) {
        list_respond_failure(r, &page, &err);
        return;
    }
    json_out_open_list(&out);
    for (size_t i = 0; i < n; i++)
        write_delivery(&out, &webhooks[i]);
    json_out_close_list(&out, has_more);
    webhooks_free_list(webhooks, n);
    respond_written(r, 200, &out);
}

void api_webhook_retry(struct request *r)
{
    struct webhook webhook;
    struct prilora_error err;
    struct json_out out = {0};
    enum prilora_status rc;

    if (!query_check(r, NULL))
        return;
    if (!*config_now(r->api->config)->webhooks_url) {
        respond_error(r, 409, "no_webhooks", NULL, "webhooks.url is not set: nothing is sent");
        return;
    }
    rc = webhooks_retry(r->api->store, r->captures[0], &webhook, &err);
    if (rc == PRILORA_OK) {
        write_delivery(&out, &webhook);
        respond_written(r, 200, &out);
    } else if (rc == PRILORA_ENOENT) {
        respond_error(r, 404, "delivery_not_found", "delivery_id", "%s", err.message);
    } else {
        respond_internal(r, &err);
    }
    webhook_clear(&webhook);
}
