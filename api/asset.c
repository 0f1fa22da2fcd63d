/* asset.c - see asset.h. */
#include "api/asset.h"

#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

#include "api/range.h"
#include "api/respond.h"

/* Whether Accept-Encoding lets gzip be sent: named, and not with a weight of zero. */
static bool accepts_gzip(const struct request *r)
{
    const char *header = request_header(r, MHD_HTTP_HEADER_ACCEPT_ENCODING);
    const char *at = header ? strstr(header, "gzip") : NULL;
    double weight = 1;

    if (!at)
        return false;
    at += strlen("gzip");
    at += strspn(at, " \t");
    if (*at == ';' && sscanf(at, "; q=%lf", &weight) != 1)
        weight = 1;
    return weight > 0;
}

static void find_digest(struct request *r, const struct asset *asset, char hex[DIGEST_HEX_SIZE])
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    struct sha256_ctx state;
    char key[DIGESTS_MAX_NAME];

    snprintf(key, sizeof key, "asset/%s", asset->name);
    if (digests_find(&r->api->digests, key, hex))
        return;
    sha256_init(&state);
    sha256_update(&state, (size_t)(asset->plain.end - asset->plain.at), asset->plain.at);
    sha256_digest(&state, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    digests_put(&r->api->digests, key, hex);
}

static struct MHD_Response *make_response(const struct asset_bytes *bytes)
{
    return MHD_create_response_from_buffer((size_t)(bytes->end - bytes->at),
                                           (void *)(uintptr_t)bytes->at, MHD_RESPMEM_PERSISTENT);
}

void asset_respond(struct request *r, const struct asset *asset)
{
    const struct asset_bytes none = {asset->plain.at, asset->plain.at};
    bool gzip = accepts_gzip(r), is_known;
    char hex[DIGEST_HEX_SIZE], etag[DIGEST_HEX_SIZE + 8];

    find_digest(r, asset, hex);
    snprintf(etag, sizeof etag, "\"%.32s%s\"", hex, gzip ? "-gz" : "");
    is_known = etag_listed(request_header(r, MHD_HTTP_HEADER_IF_NONE_MATCH), etag);
    if (is_known)
        respond_take(r, 304, make_response(&none));
    else
        respond_take(r, 200, make_response(gzip ? &asset->compressed : &asset->plain));
    respond_header(r, MHD_HTTP_HEADER_ETAG, etag);
    respond_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache"); /* ask each time: 304 mostly */
    respond_header(r, MHD_HTTP_HEADER_VARY, "Accept-Encoding");
    if (is_known)
        return;
    respond_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, asset->media_type);
    if (gzip)
        respond_header(r, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
}
