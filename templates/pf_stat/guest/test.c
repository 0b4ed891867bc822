// SPDX-License-Identifier: GPL-2.0-only
/*
 * test -o set_param|get_info|cleanup [-p NAME]
 *
 * Calls one of the three system calls and prints its result as the course's test program does (Appendix A of
 * the assignment). Unlike that one it never walks past the arrays, whatever nb_vma says, and it reports every
 * errno. A failure is one line on stderr that begins "[ERROR]", and exit status 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pf.h"

static int usage(void)
{
	fprintf(stderr, "[ERROR] usage: test -o set_param|get_info|cleanup [-p NAME]\n");
	return 1;
}

static const char *meaning(int error)
{
	switch (error) {
	case ENOSYS:
		return "not implemented";
	case EINVAL:
		return "bad argument value";
	case ENOMEM:
		return "the kernel is out of memory";
	case EACCES:
		return "the data structure is not initialised";
	default:
		return strerror(error);
	}
}

static int failed(const char *call)
{
	fprintf(stderr, "[ERROR] %s: %s (errno %d)\n", call, meaning(errno), errno);
	return 1;
}

static int set_param(const char *name)
{
	if (syscall(PF_NR_SET_PARAM, name, strlen(name)) < 0)
		return failed("pf_set_param");
	printf("pf_set_param performed successfully.\n");
	return 0;
}

static int get_info(const char *name)
{
	struct pf_stat pf;
	int i;

	memset(&pf, 0, sizeof(pf));
	if (syscall(PF_NR_GET_INFO, name, strlen(name), &pf) < 0)
		return failed("pf_get_info");
	printf("Number of VMA      : %d\n", pf.nb_vma);
	printf("Number of COW faults: %ld\n", pf.cow_page_faults);
	printf("All VMA:\n");
	for (i = 0; i < pf.nb_vma && i < MAX_SIZE_PF; i++)
		printf("[%2d]: 0x%lx - 0x%lx (size: 0x%lx): %ld cow faults\n", i, pf.vma_list_start[i],
		       pf.vma_list_end[i], pf.vma_list_end[i] - pf.vma_list_start[i], pf.vma_fault[i]);
	return 0;
}

static int cleanup(void)
{
	if (syscall(PF_NR_CLEANUP) < 0)
		return failed("pf_cleanup");
	printf("pf_cleanup performed successfully.\n");
	return 0;
}

int main(int argc, char **argv)
{
	const char *operation = NULL, *name = NULL;
	int option;

	opterr = 0;
	while ((option = getopt(argc, argv, "o:p:")) != -1) {
		if (option == 'o')
			operation = optarg;
		else if (option == 'p')
			name = optarg;
		else
			return usage();
	}
	if (!operation || optind != argc)
		return usage();
	if (!strcmp(operation, "cleanup"))
		return cleanup();
	if (!name)
		return usage();
	if (!strcmp(operation, "set_param"))
		return set_param(name);
	if (!strcmp(operation, "get_info"))
		return get_info(name);
	return usage();
}
