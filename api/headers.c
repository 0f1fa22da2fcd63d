/* headers.c - see headers.h. libmicrohttpd itself refuses what does not fit into its memory for a
 * connection, and lines that are no headers; it does so in HTML. */
#include "api/headers.h"

#include <string.h>
#include <strings.h>

#include "api/request.h"
#include "api/respond.h"

struct seen {
    size_t n_hosts, n_lengths, n_encodings;
    const char *encoding, *content_encoding;
    const char *bad_name, *bad_value; /* NULL: all are well-formed */
};

/* A token of RFC 9110, 5.6.2: "Transfer-Encoding " would be another header to us than to a proxy.
 */
static bool is_token(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "!#$%&'*+-.^_`|~";

    return *name && name[strspn(name, letters)] == '\0';
}

static enum MHD_Result look(void *context, enum MHD_ValueKind kind, const char *name,
                            const char *value)
{
    struct seen *seen = context;

    (void)kind;
    value = value ? value : "";
    if (!is_token(name))
        seen->bad_name = name;
    if (strpbrk(value, "\r\n"))
        seen->bad_value = name;
    if (strcasecmp(name, "Content-Encoding") == 0 && strcasecmp(value, "identity") != 0)
        seen->content_encoding = value;
    if (strcasecmp(name, "Host") == 0)
        seen->n_hosts++;
    if (strcasecmp(name, "Content-Length") == 0)
        seen->n_lengths++;
    if (strcasecmp(name, "Transfer-Encoding") == 0) {
        seen->n_encodings++;
        seen->encoding = value;
    }
    return MHD_YES;
}

static bool check_form(struct request *r, const struct seen *seen)
{
    if (!seen->bad_name && !seen->bad_value)
        return true;
    if (seen->bad_name)
        respond_error(r, 400, "invalid_header", NULL, "\"%.100s\" cannot be the name of a header",
                      seen->bad_name);
    else
        respond_error(r, 400, "invalid_header", NULL,
                      "the header %.100s has a line's end in its value", seen->bad_value);
    r->must_close = true;
    return false;
}

static bool check_framing(struct request *r, const struct seen *seen)
{
    if (seen->n_encodings > 1 || (seen->encoding && strcasecmp(seen->encoding, "chunked") != 0))
        respond_error(r, 501, "unsupported_encoding", NULL,
                      "Transfer-Encoding: only chunked is understood");
    else if (seen->n_encodings && r->is_http10)
        respond_error(r, 400, "ambiguous_length", NULL,
                      "Transfer-Encoding means nothing in HTTP/1.0");
    else if (seen->n_lengths > 1 || (seen->n_lengths && seen->n_encodings))
        respond_error(r, 400, "ambiguous_length", NULL,
                      "the length of the body is given twice (Content-Length%s)",
                      seen->n_encodings ? ", Transfer-Encoding" : "");
    else
        return true;
    r->must_close = true; /* where the next request begins is anybody's guess */
    return false;
}

bool headers_check(struct request *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    struct seen seen = {0};

    if (info && info->header_size > HEADERS_MAX_BYTES) {
        respond_error(r, 431, "headers_too_large", NULL,
                      "the headers have %zu bytes, but at most %d are taken", info->header_size,
                      HEADERS_MAX_BYTES);
        return false;
    }
    MHD_get_connection_values(r->connection, MHD_HEADER_KIND, look, &seen);
    if (!check_form(r, &seen) || !check_framing(r, &seen))
        return false;
    if (seen.n_hosts > 1)
        respond_error(r, 400, "invalid_host", NULL, "there are %zu Host headers", seen.n_hosts);
    else if (seen.content_encoding)
        respond_error(r, 415, "unsupported_encoding", "Content-Encoding",
                      "Content-Encoding: \"%.100s\", but bodies are taken only as they are",
                      seen.content_encoding);
    else
        return true;
    return false;
}
