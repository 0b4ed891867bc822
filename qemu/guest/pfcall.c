// SPDX-License-Identifier: GPL-2.0-only
/*
 * pfcall: one raw call of the system calls under test, with arguments that a C library would not let through.
 *
 *	pfcall set NAME LENGTH
 *	pfcall get NAME LENGTH WHERE
 *	pfcall cleanup
 *
 * NAME    the bytes themselves, or @null, @kernel (an address of the kernel's), @unmapped, @none (an empty
 *         string), @edge:TEXT (TEXT, its last byte the last of a mapped page, with nothing mapped behind it)
 * LENGTH  a number, or - for the length of NAME
 * WHERE   where the result goes: here, @null, @kernel, @unmapped, @readonly, @short (half of it mapped)
 *
 * Prints "ret N", as the kernel returned it, and after a successful get into `here` the result (put_stat()).
 */
#include "nolibc.h"
#include "pf.h"

#define KERNEL_ADDRESS 0xc0100000UL

static struct pf_stat stat;

/* A page of its own with nothing mapped behind it. */
static unsigned long lonely_page(int prot)
{
	long start = sys_mmap(0, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (is_error(start))
		die("pfcall: mmap", start);
	sys2(NR_munmap, start + (long)PAGE_SIZE, PAGE_SIZE);
	sys3(NR_mprotect, start, PAGE_SIZE, prot);
	return (unsigned long)start;
}

static const char *name_at(const char *word, unsigned long *length)
{
	static const char edge[] = "@edge:";
	unsigned long i, end;

	*length = length_of(word);
	if (same(word, "@null"))
		return (const char *)0;
	if (same(word, "@kernel"))
		return (const char *)KERNEL_ADDRESS;
	if (same(word, "@unmapped"))
		return (const char *)lonely_page(PROT_READ) + PAGE_SIZE;
	if (same(word, "@none")) {
		*length = 0;
		return "";
	}
	for (i = 0; edge[i]; i++)
		if (word[i] != edge[i])
			return word;
	*length -= i;
	end = lonely_page(PROT_READ | PROT_WRITE) + PAGE_SIZE;
	memcpy((void *)(end - *length), word + i, *length);
	return (const char *)(end - *length);
}

static struct pf_stat *result_at(const char *word)
{
	if (same(word, "@null"))
		return (struct pf_stat *)0;
	if (same(word, "@kernel"))
		return (struct pf_stat *)KERNEL_ADDRESS;
	if (same(word, "@unmapped"))
		return (struct pf_stat *)(lonely_page(PROT_READ) + PAGE_SIZE);
	if (same(word, "@readonly"))
		return (struct pf_stat *)lonely_page(PROT_READ);
	if (same(word, "@short"))
		return (struct pf_stat *)(lonely_page(PROT_READ | PROT_WRITE) + PAGE_SIZE - sizeof(stat) / 2);
	return &stat;
}

int main(int argc, char **argv)
{
	const char *name = (const char *)0;
	struct pf_stat *result = &stat;
	unsigned long length = 0;
	long ret;

	if (argc > 3) {
		name = name_at(argv[2], &length);
		if (!same(argv[3], "-"))
			length = (unsigned long)number_of(argv[3]);
	}
	if (argc == 4 && same(argv[1], "set")) {
		ret = sys2(PF_NR_SET_PARAM, name, length);
	} else if (argc == 5 && same(argv[1], "get")) {
		result = result_at(argv[4]);
		ret = sys3(PF_NR_GET_INFO, name, length, result);
	} else if (argc == 2 && same(argv[1], "cleanup")) {
		ret = sys0(PF_NR_CLEANUP);
	} else {
		put(2, "usage: pfcall set NAME LENGTH | get NAME LENGTH WHERE | cleanup\n");
		return 2;
	}
	put_result("ret", ret);
	if (argc == 5 && ret == 0 && result == &stat)
		put_stat(result);
	return 0;
}
