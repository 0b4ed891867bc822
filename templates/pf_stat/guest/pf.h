/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The system calls under test, as user space sees them.
 *
 * The numbers can be overridden with -D, for kernels where others own them. Include nolibc.h before it, if at all.
 */
#ifndef PF_H
#define PF_H

#ifndef PF_NR_SET_PARAM
#define PF_NR_SET_PARAM 385
#endif
#ifndef PF_NR_GET_INFO
#define PF_NR_GET_INFO 386
#endif
#ifndef PF_NR_CLEANUP
#define PF_NR_CLEANUP 387
#endif

#ifndef MAX_SIZE_PF
#define MAX_SIZE_PF 128
#endif

struct pf_stat {
	int nb_vma;
	long cow_page_faults;
	long vma_fault[MAX_SIZE_PF];
	unsigned long vma_list_start[MAX_SIZE_PF];
	unsigned long vma_list_end[MAX_SIZE_PF];
};

#ifdef NOLIBC_H
/* Prints a result as "nb N", "total N", and "START END COUNT" of each VMA, addresses in hexadecimal. */
static UNUSED void put_stat(const struct pf_stat *stat)
{
	int i;

	put_result("nb", stat->nb_vma);
	put_result("total", stat->cow_page_faults);
	for (i = 0; i < stat->nb_vma && i < MAX_SIZE_PF; i++) {
		put_number(1, stat->vma_list_start[i], 16);
		put(1, " ");
		put_number(1, stat->vma_list_end[i], 16);
		put_result("", stat->vma_fault[i]);
	}
}
#endif

#endif
