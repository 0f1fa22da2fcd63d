/*
 * dashboard.c - the page at / and its parts, which are bytes of the program. They hold no data: the
 * page gets everything by the interface, with the key that its user has.
 */
#include <string.h>

#include "api/asset.h"
#include "api/handlers.h"
#include "api/respond.h"

/* A page that gets in a foreign script could act with its user's key: nothing but our own files is
 * ever loaded or talked to, and nobody may frame it. */
#define POLICY                                                                                     \
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "                 \
    "frame-ancestors 'none'; require-trusted-types-for 'script'"

DASHBOARD_ASSETS(ASSET_DECLARE)

static const struct asset assets[] = {DASHBOARD_ASSETS(ASSET_ROW)};
#define N_ASSETS (sizeof assets / sizeof *assets)

static void respond_asset(struct request *r, const struct asset *asset)
{
    asset_respond(r, asset);
    if (r->answer.status != 200)
        return;
    respond_header(r, "Content-Security-Policy", POLICY);
    respond_header(r, "Referrer-Policy", "no-referrer");
}

void api_dashboard_page(struct request *r)
{
    respond_asset(r, &assets[0]);
}

void api_dashboard_file(struct request *r)
{
    for (size_t i = 0; i < N_ASSETS; i++) {
        if (strcmp(assets[i].name, r->captures[0]) == 0) {
            respond_asset(r, &assets[i]);
            return;
        }
    }
    respond_error(r, 404, "unknown_url", NULL, "the dashboard has no file %s", r->captures[0]);
}
