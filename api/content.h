/* content.h - answers of raw bytes: entity tags, digests, conditions and ranges (RFC 9110, 9530).
 */
#ifndef CONTENT_H
#define CONTENT_H

#include "api/digests.h"
#include "api/request.h"

struct content {
    const char *media_type;
    const char *filename;         /* what a client may save it as; UTF-8 */
    char sha256[DIGEST_HEX_SIZE]; /* of all bytes; becomes the entity tag */
    bool is_computed; /* while it is sent: sha256 is of what the bytes follow from, no digest */
    uint64_t size;
};

/* Both take what is sent, and close it. */
void respond_file(struct request *r, const struct content *content, int fd);
struct tar;
void respond_tar(struct request *r, const struct content *content, struct tar *tar);

/* A Content-Disposition for any file name, in malloc'ed memory: quoted ASCII, and RFC 8187 where
 * that does not say it all. NULL: out of memory. */
char *content_disposition(const char *filename);

#endif
