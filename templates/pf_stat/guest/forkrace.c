// SPDX-License-Identifier: GPL-2.0-only
/*
 * forkrace ROUNDS: pf_set_param at the very moment at which a process of that name forks.
 *
 * In each round the process forks, and a helper calls pf_set_param a little later than in the round before, so that
 * most calls come in the middle of the fork. The child waits for the end of the call and writes pages that nobody else
 * writes, so each of them must be counted once. Prints "missed N of ROUNDS".
 */
#include "nolibc.h"
#include "pf.h"

#define NAME "forkrace"	/* its own */
#define AREA 0x20000000UL
#define PAGES 1024UL	/* that a fork has to copy: it takes longer */
#define WRITTEN 4
#define STEPS 16	/* moments of a fork */

static struct shared {
	volatile int round;		/* that the helper shall take part in, -1 for none any more */
	volatile int tracked;		/* the last round in which it has called pf_set_param, -1 if that failed */
	volatile unsigned int begin;	/* time stamps: of the fork, */
	volatile unsigned int delay;	/* and how much later the call is to come */
} *shared;

static inline unsigned int now(void)
{
	unsigned int low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return low;
}

static long must(const char *what, long result)
{
	if (is_error(result))
		die(what, result);
	return result;
}

static void touch(unsigned long pages)
{
	unsigned long i;

	for (i = 0; i < pages; i++)
		*(volatile char *)(AREA + i * PAGE_SIZE) = 1;
}

static void __attribute__((noreturn)) help(void)
{
	int round = 0;
	long ret;

	for (;;) {
		while (shared->round == round)
			sys0(NR_sched_yield);
		round = shared->round;
		if (round < 0)
			leave(0);
		while (now() - shared->begin < shared->delay)
			;
		ret = sys2(PF_NR_SET_PARAM, NAME, sizeof(NAME) - 1);
		shared->tracked = is_error(ret) ? -1 : round;
		must("pf_set_param", ret);
	}
}

static int counted_all(void)
{
	static struct pf_stat stat;
	int i;

	must("pf_get_info", sys3(PF_NR_GET_INFO, NAME, sizeof(NAME) - 1, &stat));
	for (i = 0; i < stat.nb_vma; i++)
		if (stat.vma_list_start[i] == AREA)
			return stat.vma_fault[i] == WRITTEN;
	return 0;
}

/* Forks while the helper calls pf_set_param; returns how long it took. */
static unsigned int play_round(int round, unsigned int delay)
{
	unsigned int took;
	long pid;

	shared->begin = now();
	shared->delay = delay;
	shared->round = round;
	pid = must("fork", sys0(NR_fork));
	took = now() - shared->begin;
	if (!pid) {
		while (shared->tracked != round && shared->tracked >= 0)
			sys0(NR_sched_yield);
		touch(WRITTEN);
		leave(0);
	}
	must("waitpid", sys3(NR_waitpid, pid, 0, 0));
	return took;
}

int main(int argc, char **argv)
{
	long round, missed = 0, rounds = argc == 2 ? number_of(argv[1]) : -1;
	unsigned int took, least = ~0u;

	if (rounds < 1)
		die("usage: forkrace ROUNDS", 22);
	shared = (struct shared *)must("mmap", sys_mmap(0, PAGE_SIZE, PROT_READ | PROT_WRITE,
							MAP_SHARED | MAP_ANONYMOUS, -1));
	must("mmap", sys_mmap(AREA, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
			      MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1));
	touch(PAGES);
	if (!must("fork", sys0(NR_fork)))
		help();
	for (round = 1; round <= rounds; round++) {
		took = play_round((int)round, least == ~0u ? 0 : least / STEPS * (unsigned int)(round % STEPS));
		if (took < least)
			least = took;
		missed += !counted_all();
		must("pf_cleanup", sys0(PF_NR_CLEANUP));
	}
	shared->round = -1;
	put(1, "missed ");
	put_number(1, (unsigned long)missed, 10);
	put(1, " of ");
	put_number(1, (unsigned long)rounds, 10);
	put(1, "\n");
	return 0;
}
