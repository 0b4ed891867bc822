// SPDX-License-Identifier: GPL-2.0-only
/*
 * churn: a process whose threads change its mappings without pause, and how long others have to wait for it.
 *
 *	churn THREADS			does that until it is killed
 *	stopwatch time PID COUNT	by turns reads /proc/PID/maps and calls pf_get_info for "churn", COUNT times each;
 *					by another name, because this very program is what it asks for
 *
 * The second prints "maps MEAN MEDIAN WORST" and "info MEAN MEDIAN WORST", in thousands of the time stamp counter's
 * ticks.
 */
#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <x86intrin.h>

#include "pf.h"

#define NAME "churn"
#define LENGTH (512 * 4096)
#define ROUNDS 100
#define COUNT_MAX 10000
#define PAUSE 1000	/* microseconds */

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* To protect mapped pages takes a while, in which mmap_sem is held for writing: seldom does it have nobody waiting. */
static void *map_and_unmap(void *unused)
{
	char *memory;
	int i;

	for (;;) {
		memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (memory == MAP_FAILED)
			fail("churn: mmap");
		for (i = 0; i < ROUNDS; i++)
			if (mprotect(memory, LENGTH, i % 2 ? PROT_READ | PROT_WRITE : PROT_READ))
				fail("churn: mprotect");
		if (munmap(memory, LENGTH))
			fail("churn: munmap");
	}
	return unused;
}

static void read_maps(const char *path)
{
	static char buffer[65536];
	int file = open(path, O_RDONLY);
	ssize_t count = 1;

	while (file >= 0 && count > 0)
		count = read(file, buffer, sizeof(buffer));
	if (file < 0 || count < 0)
		fail(path);
	close(file);
}

static void get_info(void)
{
	static struct pf_stat stat;

	if (syscall(PF_NR_GET_INFO, NAME, strlen(NAME), &stat))
		fail("churn: pf_get_info");
}

static int compare(const void *one, const void *other)
{
	return *(const int *)one - *(const int *)other;
}

static void print(const char *what, int *taken, int count)
{
	long long sum = 0;
	int i;

	qsort(taken, (size_t)count, sizeof(*taken), compare);
	for (i = 0; i < count; i++)
		sum += taken[i];
	printf("%s %lld %d %d\n", what, sum / count, taken[count / 2], taken[count - 1]);
}

static void measure(const char *pid, int count)
{
	static int maps[COUNT_MAX], info[COUNT_MAX];
	unsigned long long begin;
	char path[64];
	int i;

	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	for (i = 0; i < count; i++) {
		/* Who has just had to wait finds the way free, so each call comes after a pause. */
		usleep(PAUSE);
		begin = __rdtsc();
		read_maps(path);
		maps[i] = (int)((__rdtsc() - begin) / 1000);
		usleep(PAUSE);
		begin = __rdtsc();
		get_info();
		info[i] = (int)((__rdtsc() - begin) / 1000);
	}
	print("maps", maps, count);
	print("info", info, count);
}

int main(int argc, char **argv)
{
	int i, count = argc > 1 ? atoi(argv[argc - 1]) : 0;
	pthread_t thread;

	if (argc == 4 && !strcmp(argv[1], "time") && count > 0 && count <= COUNT_MAX) {
		measure(argv[2], count);
		return 0;
	}
	if (argc != 2 || count < 1) {
		fprintf(stderr, "usage: churn THREADS | stopwatch time PID COUNT\n");
		return 2;
	}
	for (i = 1; i < count; i++)
		if (pthread_create(&thread, NULL, map_and_unmap, NULL))
			fail("churn: pthread_create");
	map_and_unmap(NULL);
	return 0;
}
