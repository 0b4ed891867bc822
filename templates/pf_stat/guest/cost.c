// SPDX-License-Identifier: GPL-2.0-only
/*
 * cost: what faults and calls cost, in ticks of the time stamp counter (instructions where QEMU counts them).
 *
 *	cost KIND COUNT [VMAS [FAULTS]]
 *	cost track COUNT	track that many other names: other0, other1, ...
 *	cost crowd COUNT	leave that many sleeping processes behind
 *	cost sparse COUNT	cause that many copy-on-write faults, 4 MB apart
 *
 * KIND of fault, each caused by one instruction:
 *	reuse	a write to a page that was write-protected by a fork and belongs to one process again
 *	copy	a write to a page that another process shares
 *	zerocow	a write to anonymous memory that was read before: a copy of the zero page
 *	first	a write to anonymous memory that was not touched before
 *	read	a read of such memory
 *	file	a read of a page of a private file mapping that is in the page cache
 * KIND of call:
 *	fork	until it returns in the parent
 *	exit	fork, the child's exit and the wait for it
 *	exec	from execve to the first instruction of the new program
 *	map	mmap of one page; map256: of 256 pages, where others had a copy-on-write fault each
 *	unmap	munmap of one page; unmap256: of 256 pages that all had a copy-on-write fault
 *
 * VMAS mappings more are made and FAULTS copy-on-write faults caused before anything is measured.
 *
 * Prints "TICKS TIMES" for each number of ticks that was seen; what the two readings take has been subtracted.
 */
#include "nolibc.h"
#include "pf.h"

#define SELF "/root/cost"	/* its base name is the name of the process */
#define LOW 0x10000000UL	/* between the program and where mmap() begins to look, downwards */
#define SAMPLES_MAX 8192
#define EXECS_MAX 64
#define DIGITS 8	/* of a sample in hexadecimal */
#define CHUNK 1024L	/* pages: 4 MB */

static unsigned int samples[SAMPLES_MAX];

static inline unsigned int now(void)
{
	unsigned int low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return low;
}

static unsigned int __attribute__((noinline)) write_ticks(unsigned long address)
{
	unsigned int begin = now();

	asm volatile("movb $1, (%0)" : : "r"(address) : "memory");
	return now() - begin;
}

static unsigned int __attribute__((noinline)) read_ticks(unsigned long address)
{
	unsigned int begin = now();

	asm volatile("cmpb $0, (%0)" : : "r"(address) : "memory", "cc");
	return now() - begin;
}

static long checked(const char *what, long result)
{
	if (is_error(result))
		die(what, result);
	return result;
}

static unsigned long map(long pages, int prot, int fd)
{
	int flags = MAP_PRIVATE | (fd < 0 ? MAP_ANONYMOUS : 0);

	return (unsigned long)checked("cost: mmap", sys_mmap(0, (unsigned long)pages * PAGE_SIZE, prot, flags, fd));
}

static void unmap(unsigned long address, long pages)
{
	checked("cost: munmap", sys2(NR_munmap, address, (unsigned long)pages * PAGE_SIZE));
}

static void touch(unsigned long address, long pages, int write)
{
	for (; pages > 0; pages--, address += PAGE_SIZE)
		if (write)
			*(volatile char *)address = 1;
		else
			(void)*(volatile char *)address;
}

static void wait_for(long pid)
{
	int status = 0;

	checked("cost: waitpid", sys3(NR_waitpid, pid, &status, 0));
	if (status)
		die("cost: the child's status", status);
}

/* A child that is gone at once leaves all private pages write-protected. */
static void protect(void)
{
	long pid = checked("cost: fork", sys0(NR_fork));

	if (!pid)
		leave(0);
	wait_for(pid);
}

/* What two readings take with nothing but the instruction itself between them */
static unsigned int overhead(unsigned int (*ticks)(unsigned long))
{
	unsigned int least = ~0u, seen;
	unsigned long page = map(1, PROT_READ | PROT_WRITE, -1);
	int i;

	touch(page, 1, 1);
	for (i = 0; i < 16; i++) {
		seen = ticks(page);
		if (seen < least)
			least = seen;
	}
	unmap(page, 1);
	return least;
}

/* Prints how often each value was seen. Few differ, so the simplest way will do. */
static void print_samples(long count, unsigned int less)
{
	long i, k;
	unsigned long times;

	for (i = 0; i < count; i++)
		samples[i] -= less;
	for (i = 0; i < count; i++) {
		if (samples[i] == ~0u)
			continue;
		times = 1;
		for (k = i + 1; k < count; k++)
			if (samples[k] == samples[i]) {
				samples[k] = ~0u;
				times++;
			}
		put_number(1, samples[i], 10);
		put(1, " ");
		put_number(1, times, 10);
		put(1, "\n");
	}
}

static void measure_pages(unsigned long start, long count, unsigned int (*ticks)(unsigned long))
{
	unsigned int less = overhead(ticks);
	long i;

	memset(samples, 0xff, sizeof(samples));
	for (i = 0; i < count; i++)
		samples[i] = ticks(start + (unsigned long)i * PAGE_SIZE);
	print_samples(count, less);
}

static void copy(unsigned long start, long count)
{
	long pid = checked("cost: fork", sys0(NR_fork));

	if (!pid) {
		measure_pages(start, count, write_ticks);
		leave(0);
	}
	wait_for(pid);
}

/* The same page of a file again and again, so that none comes along with its neighbour */
static void file(long count)
{
	unsigned int less = overhead(read_ticks);
	long fd = checked("cost: open", sys3(NR_open, SELF, O_RDONLY, 0));
	unsigned long page;
	long i;

	for (i = 0; i < count; i++) {
		page = map(1, PROT_READ | PROT_WRITE, (int)fd);
		samples[i] = read_ticks(page);
		unmap(page, 1);
	}
	print_samples(count, less);
}

static int faults(const char *kind, long count)
{
	unsigned long start;

	if (same(kind, "file")) {
		file(count);
		return 0;
	}
	start = map(count, PROT_READ | PROT_WRITE, -1);
	if (same(kind, "reuse")) {
		touch(start, count, 1);
		protect();
		measure_pages(start, count, write_ticks);
	} else if (same(kind, "copy")) {
		touch(start, count, 1);
		copy(start, count);
	} else if (same(kind, "zerocow")) {
		touch(start, count, 0);
		measure_pages(start, count, write_ticks);
	} else if (same(kind, "first")) {
		measure_pages(start, count, write_ticks);
	} else if (same(kind, "read")) {
		measure_pages(start, count, read_ticks);
	} else {
		return 2;
	}
	return 0;
}

static void fork_calls(long count, int whole)
{
	unsigned int begin, end;
	long i, pid;

	for (i = 0; i < count; i++) {
		begin = now();
		pid = sys0(NR_fork);
		end = now();
		if (!pid)
			leave(0);
		checked("cost: fork", pid);
		wait_for(pid);
		samples[i] = (whole ? now() : end) - begin;
	}
	print_samples(count, 0);
}

/* What it takes to map pages, or to unmap them */
static void map_calls(long count, long pages, int unmapping)
{
	unsigned int begin, mapping;
	unsigned long start;
	long i;

	for (i = 0; i < count; i++) {
		begin = now();
		start = map(pages, PROT_READ | PROT_WRITE, -1);
		mapping = now() - begin;
		touch(start, pages, 1);
		if (pages > 1) {
			protect();
			touch(start, pages, 1);
		}
		begin = now();
		unmap(start, pages);
		samples[i] = unmapping ? now() - begin : mapping;
	}
	print_samples(count, 0);
}

static unsigned int from_hex(const char *digits)
{
	unsigned int value = 0;
	int i;

	for (i = 0; i < DIGITS; i++)
		value = value * 16 + (unsigned int)(digits[i] <= '9' ? digits[i] - '0' : digits[i] - 'a' + 10);
	return value;
}

static void to_hex(char *digits, unsigned int value)
{
	int i;

	for (i = DIGITS - 1; i >= 0; i--, value /= 16)
		digits[i] = "0123456789abcdef"[value % 16];
}

/* Executes itself; what was measured goes along in an argument that always has the same length. */
static void exec_calls(unsigned int begun, char *kept, long count)
{
	static char fresh[(EXECS_MAX + 2) * DIGITS + 1];
	char *argv[] = { "cost", "exec", kept ? kept : fresh, (char *)0 };
	unsigned int done, left, i;

	if (kept) {
		done = from_hex(kept) + 1;
		left = from_hex(kept + DIGITS) - 1;
		to_hex(kept + (done + 1) * DIGITS, begun - from_hex(kept + (done + 1) * DIGITS));
	} else {
		memset(fresh, '0', sizeof(fresh) - 1);
		kept = fresh;
		done = 0;
		left = (unsigned int)count;
	}
	to_hex(kept, done);
	to_hex(kept + DIGITS, left);
	if (left) {
		to_hex(kept + (done + 2) * DIGITS, now());
		die("cost: execve", sys3(NR_execve, SELF, argv, (char *)0));
	}
	for (i = 0; i < done; i++)
		samples[i] = from_hex(kept + (i + 2) * DIGITS);
	print_samples((long)done, 0);
}

static int calls(const char *kind, long count)
{
	if (same(kind, "fork"))
		fork_calls(count, 0);
	else if (same(kind, "exit"))
		fork_calls(count, 1);
	else if (same(kind, "map") || same(kind, "unmap"))
		map_calls(count, 1, same(kind, "unmap"));
	else if (same(kind, "map256") || same(kind, "unmap256"))
		map_calls(count, 256, same(kind, "unmap256"));
	else if (same(kind, "exec") && count <= EXECS_MAX)
		exec_calls(0, (char *)0, count);
	else
		return 2;
	return 0;
}

static void track(long count)
{
	char name[] = "other\0\0\0\0\0\0\0\0\0\0";
	char digits[10];
	long i, value, length, at;

	for (i = 0; i < count; i++) {
		at = 0;
		value = i;
		do {
			digits[at++] = (char)('0' + value % 10);
			value /= 10;
		} while (value);
		for (length = 5; at; length++)
			name[length] = digits[--at];
		checked("cost: pf_set_param", sys2(PF_NR_SET_PARAM, name, length));
	}
}

static void crowd(long count)
{
	long i, pid;
	int fd;

	for (i = 0; i < count; i++) {
		pid = checked("cost: fork", sys0(NR_fork));
		if (!pid) {
			for (fd = 0; fd < 3; fd++)
				sys1(NR_close, fd);
			for (;;)
				sys0(NR_pause);
		}
	}
}

/* With a hole behind each page, so that no two are merged into one VMA */
static void make_vmas(unsigned long where, long count)
{
	unsigned long length = 2 * (unsigned long)count * PAGE_SIZE;
	unsigned long start;
	long i;

	if (!count)
		return;
	start = (unsigned long)checked("cost: mmap", sys_mmap(where, length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1));
	for (i = 0; i < count; i++)
		unmap(start + (unsigned long)(2 * i + 1) * PAGE_SIZE, 1);
}

static void make_faults(long count)
{
	unsigned long start;

	if (!count)
		return;
	start = map(count, PROT_READ | PROT_WRITE, -1);
	touch(start, count, 1);
	protect();
	touch(start, count, 1);
}

static void sparse(long count)
{
	unsigned long start = map(count * CHUNK, PROT_READ | PROT_WRITE, -1);
	long i;

	for (i = 0; i < count; i++)
		touch(start + (unsigned long)(i * CHUNK) * PAGE_SIZE, 1, 1);
	protect();
	for (i = 0; i < count; i++)
		touch(start + (unsigned long)(i * CHUNK) * PAGE_SIZE, 1, 1);
}

int main(int argc, char **argv)
{
	unsigned int begun = now();
	long count, vmas;

	if (argc == 3 && same(argv[1], "exec") && length_of(argv[2]) > DIGITS) {
		exec_calls(begun, argv[2], 0);
		return 0;
	}
	count = argc < 3 ? -1 : number_of(argv[2]);
	if (count < 1 || count > SAMPLES_MAX) {
		put(2, "usage: cost KIND COUNT [VMAS [FAULTS]]\n");
		return 2;
	}
	if (same(argv[1], "track")) {
		track(count);
		return 0;
	}
	if (same(argv[1], "crowd")) {
		crowd(count);
		return 0;
	}
	if (same(argv[1], "sparse")) {
		sparse(count);
		return 0;
	}
	/* Half of them on each side of what is measured: whoever walks along them meets some. */
	vmas = argc > 3 ? number_of(argv[3]) : 0;
	make_vmas(LOW, vmas - vmas / 2);
	make_vmas(0, vmas / 2);
	make_faults(argc > 4 ? number_of(argv[4]) : 0);
	if (faults(argv[1], count) && calls(argv[1], count)) {
		put(2, "cost: no such kind\n");
		return 2;
	}
	return 0;
}
