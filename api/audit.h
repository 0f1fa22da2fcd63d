/* audit.h - who changed what: a line in the log for each change and each refusal. */
#ifndef AUDIT_H
#define AUDIT_H

struct request;

/* When a request is over, whatever became of it. Keys themselves are never written. */
void audit_request(const struct request *r);

#endif
