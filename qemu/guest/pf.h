/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The system calls under test, as user space sees them.
 *
 * The numbers can be overridden with -D, for kernels where others own them.
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

#endif
