// SPDX-License-Identifier: GPL-2.0-only
/*
 * pfcall: one raw call of the system calls under test, with arguments that a C library would not let through.
 *
 *	pfcall [nth N] set NAME LENGTH
 *	pfcall [nth N] get NAME LENGTH WHERE
 *	pfcall [nth N] cleanup [junk]
 *	pfcall numbers N
 *
 * nth N   the call's N-th allocation fails (fail_nth.h)
 * NAME    the bytes themselves, or @null, @kernel (an address of the kernel's), @unmapped, @none (an empty
 *         string), @edge:TEXT (TEXT, its last byte the last of a mapped page, with nothing mapped behind it)
 * LENGTH  a number, or - for the length of NAME
 * WHERE   where the result goes: here, guarded (here too, and what lies around it is looked at), @null, @kernel,
 *         @unmapped, @readonly, @short (half of it mapped)
 * junk    the registers of arguments hold something
 * numbers N calls the numbers from N + 3 down to N without arguments, and prints "ret N" for each, that of N first
 *
 * Prints "ret N", as the kernel returned it, and after a successful get into `here` the result (put_stat()). Lines
 * that begin "note" say more: that no allocation failed, because the call makes fewer; what `guarded` found.
 */
#include "nolibc.h"
#include "pf.h"

#include "fail_nth.h"

#define KERNEL_ADDRESS 0xc0100000UL
#define FILL 0x5a

static struct {
	char before[64];
	struct pf_stat stat;
	char behind[64];
} guarded;

#define stat (guarded.stat)

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

/* Neither zero nor left alone: something of the kernel's. */
static int odd(long word)
{
	return word && word != (long)(FILL * 0x01010101UL);
}

static void put_guarded(void)
{
	int i, touched = 0, used = 0;

	for (i = 0; i < 64; i++)
		touched |= guarded.before[i] != FILL || guarded.behind[i] != FILL;
	for (i = stat.nb_vma; i < MAX_SIZE_PF; i++)
		used |= odd(stat.vma_fault[i]) || odd((long)stat.vma_list_start[i]) || odd((long)stat.vma_list_end[i]);
	put(1, touched || sizeof(stat) != 1544 ? "note touched beside it\n" : "note untouched before and behind\n");
	put(1, used ? "note something beyond nb_vma\n" : "note nothing beyond nb_vma\n");
}

static int put_numbers(long first)
{
	long i, ret[4];

	/* The last of the calls first: the one that sets something up may do so although it should not. */
	for (i = 3; i >= 0; i--)
		ret[i] = sys0(first + i);
	for (i = 0; i < 4; i++)
		put_result("ret", ret[i]);
	return 0;
}

static int usage(void)
{
	put(2, "usage: pfcall [nth N] set NAME LENGTH | get NAME LENGTH WHERE | cleanup [junk]\n");
	return 2;
}

int main(int argc, char **argv)
{
	const char *name = (const char *)0;
	struct pf_stat *result = &stat;
	unsigned long length = 0;
	long ret, nth = 0;

	if (argc == 3 && same(argv[1], "numbers"))
		return put_numbers(number_of(argv[2]));
	if (argc > 3 && same(argv[1], "nth")) {
		nth = number_of(argv[2]);
		argv += 2;
		argc -= 2;
	}
	if (argc > 3) {
		name = name_at(argv[2], &length);
		if (!same(argv[3], "-"))
			length = (unsigned long)number_of(argv[3]);
	}
	if (argc == 5)
		result = result_at(argv[4]);
	memset(&guarded, FILL, sizeof(guarded));

	fail_nth(nth);
	if (argc == 4 && same(argv[1], "set"))
		ret = sys2(PF_NR_SET_PARAM, name, length);
	else if (argc == 5 && same(argv[1], "get"))
		ret = sys3(PF_NR_GET_INFO, name, length, result);
	else if (argc == 2 && same(argv[1], "cleanup"))
		ret = sys0(PF_NR_CLEANUP);
	else if (argc == 3 && same(argv[1], "cleanup"))
		ret = sys5(PF_NR_CLEANUP, -1, (long)KERNEL_ADDRESS, 12345, -4096, 1);
	else
		return usage();
	fail_nth_done(nth);

	put_result("ret", ret);
	if (argc == 5 && ret == 0 && same(argv[4], "here"))
		put_stat(result);
	if (argc == 5 && ret == 0 && same(argv[4], "guarded"))
		put_guarded();
	return 0;
}
