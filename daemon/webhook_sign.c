/* webhook_sign.c - what is sent, its signature (standardwebhooks.com), and when it is sent again.
 */
#include "daemon/webhooks.h"

#include <inttypes.h>
#include <jansson.h>
#include <nettle/base64.h>
#include <nettle/hmac.h>
#include <stdio.h>
#include <string.h>

#include "daemon/json_memory.h"
#include "daemon/error.h"

#define PREFIX    "whsec_"
#define LEAST_KEY 24 /* bytes, as Standard Webhooks asks */

enum prilora_status webhook_read_secret(struct webhook_secret *out, const char *text,
                                        struct prilora_error *err)
{
    struct base64_decode_ctx decoding;
    size_t n = strlen(text), skipped = strlen(PREFIX);
    bool right = strncmp(text, PREFIX, skipped) == 0;

    base64_decode_init(&decoding);
    right = right && BASE64_DECODE_LENGTH(n - skipped) <= sizeof out->bytes;
    if (right) {
        out->n = sizeof out->bytes;
        right = base64_decode_update(&decoding, &out->n, out->bytes, n - skipped, text + skipped) &&
                base64_decode_final(&decoding) && out->n >= LEAST_KEY;
    }
    return right ? PRILORA_OK
                 : error_set(err, PRILORA_EINVAL,
                             "a webhook secret must be " PREFIX " and the base64 of %d to %d "
                             "random bytes: echo " PREFIX "$(openssl rand -base64 32) makes one",
                             LEAST_KEY, WEBHOOK_MAX_SECRET - 3);
}

void webhook_sign(char out[WEBHOOK_SIGNATURE_SIZE], const struct webhook_secret *secret,
                  const char *id, int64_t timestamp, const char *body)
{
    struct hmac_sha256_ctx hmac;
    uint8_t digest[SHA256_DIGEST_SIZE];
    char base64[BASE64_ENCODE_RAW_LENGTH(sizeof digest) + 1] = {0}, text[24];

    snprintf(text, sizeof text, ".%" PRId64 ".", timestamp);
    hmac_sha256_set_key(&hmac, secret->n, secret->bytes);
    hmac_sha256_update(&hmac, strlen(id), (const uint8_t *)id);
    hmac_sha256_update(&hmac, strlen(text), (const uint8_t *)text);
    hmac_sha256_update(&hmac, strlen(body), (const uint8_t *)body);
    hmac_sha256_digest(&hmac, sizeof digest, digest);
    base64_encode_raw(base64, sizeof digest, digest);
    snprintf(out, WEBHOOK_SIGNATURE_SIZE, "v1,%s", base64);
}

char *webhook_body(const struct webhook *webhook)
{
    json_t *event = json_pack("{s:s, s:s, s:s, s:I, s:{s:s}}", "id", webhook->id, "object", "event",
                              "type", webhook->type, "created_at", (json_int_t)webhook->created_at,
                              "data", "id", webhook->job_id);
    char *text = event ? json_whole_text(event, JSON_COMPACT) : NULL;

    json_decref(event);
    return text;
}

int64_t webhook_delay(int64_t attempts, uint32_t random)
{
    static const int64_t delays_s[] = {5, 30, 120, 600, 3600, 10800, 21600, 43200, 86400};
    const int64_t n = sizeof delays_s / sizeof *delays_s;
    int64_t delay;

    if (attempts < 1 || attempts > n)
        return 0;
    delay = delays_s[attempts - 1];
    return delay + (delay / 5) * (int64_t)(random % 1001) / 1000;
}
