#pragma once
#include <cblas.h>

// LAPACK's eigenvalues of a symmetric matrix, which Debian's OpenBLAS contains without a header for it.
void dsyevr_(const char *job, const char *range, const char *triangle, const int *n, double *a, const int *lda, const double *vl, const double *vu,
             const int *il, const int *iu, const double *tolerance, int *m, double *w, double *z, const int *ldz, int *support, double *work,
             const int *lwork, int *iwork, const int *liwork, int *info);
