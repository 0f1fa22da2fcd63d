/*
 * svd.c - see svd.h. LAPACK has no header here: its routines are declared as the Fortran compiler
 * makes them, matrices by columns, the lengths of text arguments last.
 */
#include "math/svd.h"

#include <cblas.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"

void dgeqrf_(const int *m, const int *n, double *a, const int *lda, double *tau, double *work,
             const int *lwork, int *info);
void dgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a,
             const int *lda, double *s, double *u, const int *ldu, double *vt, const int *ldvt,
             double *work, const int *lwork, int *info, size_t jobu_length, size_t jobvt_length);

#define WORK_PER_NUMBER 64 /* of a side: what LAPACK's blocks like to have */

/* All by columns. */
struct room {
    double *a, *b;      /* [in, rank], [out, rank]; then their triangles */
    double *core;       /* [side of b, side of a] */
    double *tau, *work; /* [rank], [n_work] */
    int n_work;
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static enum prilora_status room_new(struct room *room, const struct pl_low_rank *p,
                                    struct prilora_error *err)
{
    size_t widest = p->in > p->out ? p->in : p->out;

    widest = widest > p->rank ? widest : p->rank;
    *room = (struct room){0};
    if (widest > INT_MAX / WORK_PER_NUMBER)
        return pl_fail(err, PRILORA_ELIMIT, "a matrix of %zu by %zu and rank %zu is too large",
                       p->out, p->in, p->rank);
    room->n_work = (int)(WORK_PER_NUMBER * widest);
    room->a = pl_calloc(p->in * p->rank, sizeof *room->a);
    room->b = pl_calloc(p->out * p->rank, sizeof *room->b);
    room->core = pl_calloc(p->rank * p->rank, sizeof *room->core);
    room->tau = pl_calloc(p->rank, sizeof *room->tau);
    room->work = pl_calloc((size_t)room->n_work, sizeof *room->work);
    if (room->a && room->b && room->core && room->tau && room->work)
        return PRILORA_OK;
    return pl_fail(err, PRILORA_ENOMEM, "no memory for the singular values of %zu directions",
                   p->rank);
}

static void room_free(struct room *room)
{
    free(room->a);
    free(room->b);
    free(room->core);
    free(room->tau);
    free(room->work);
}

/* False: a number is not finite. */
static bool load(struct room *room, const struct pl_low_rank *p)
{
    bool finite = true;

    for (size_t k = 0; k < p->rank; k++) {
        for (size_t j = 0; j < p->in; j++) {
            double x = (double)p->a[k * p->in + j] * (p->columns ? p->columns[j] : 1);

            finite = finite && isfinite(x);
            room->a[k * p->in + j] = x;
        }
        for (size_t o = 0; o < p->out; o++) {
            double x = (double)p->b[o * p->rank + k];

            finite = finite && isfinite(x);
            room->b[k * p->out + o] = x;
        }
    }
    return finite;
}

/* x [rows, rank] becomes the triangle of its QR, zeros below; how many rows that has. */
static size_t make_triangle(struct room *room, double *x, size_t rows, size_t rank)
{
    int m = (int)rows, n = (int)rank, info;
    size_t side = least(rows, rank);

    dgeqrf_(&m, &n, x, &m, room->tau, room->work, &room->n_work, &info);
    for (size_t k = 0; k < rank; k++) {
        for (size_t i = k + 1; i < side; i++)
            x[k * rows + i] = 0;
    }
    return side;
}

enum prilora_status pl_svd_low_rank(double *values, const struct pl_low_rank *p,
                                    struct prilora_error *err)
{
    struct room room;
    enum prilora_status rc = room_new(&room, p, err);
    int m, n, one = 1, info = 0;
    double unused;

    for (size_t k = 0; k < p->rank; k++)
        values[k] = 0;
    if (rc == PRILORA_OK && !load(&room, p))
        rc = pl_fail(err, PRILORA_ENUMERIC, "numbers that are not finite");
    if (rc != PRILORA_OK)
        goto out;
    m = (int)make_triangle(&room, room.b, p->out, p->rank);
    n = (int)make_triangle(&room, room.a, p->in, p->rank);
    cblas_dgemm(CblasColMajor, CblasNoTrans, CblasTrans, m, n, (int)p->rank, 1, room.b, (int)p->out,
                room.a, (int)p->in, 0, room.core, m);
    dgesvd_("N", "N", &m, &n, room.core, &m, values, &unused, &one, &unused, &one, room.work,
            &room.n_work, &info, 1, 1);
    for (size_t k = 0; k < p->rank; k++) {
        values[k] *= fabs(p->scale);
        if (!isfinite(values[k]))
            info = 1;
    }
    if (info != 0)
        rc = pl_fail(err, PRILORA_ENUMERIC, "no singular values can be had of it");
out:
    room_free(&room);
    return rc;
}
