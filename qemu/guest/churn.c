// SPDX-License-Identifier: GPL-2.0-only
/*
 * churn: a process whose threads map and unmap memory without pause, and how long others have to wait for its mmap_sem.
 *
 *	churn THREADS		does that until it is killed
 *	stopwatch time PID COUNT	by turns reads /proc/PID/maps and calls pf_get_info for "churn", COUNT times
 *				each; by another name, because this very program is what it asks for
 *
 * The second prints "maps MEAN MEDIAN WORST" and "info MEAN MEDIAN WORST", in microseconds of the guest.
 */
#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "pf.h"

#define NAME "churn"
#define LENGTH (1024 * 4096)	/* to unmap so much takes a while, with mmap_sem held for writing */
#define COUNT_MAX 10000
#define PAUSE 1000	/* microseconds */

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void *map_and_unmap(void *unused)
{
	void *memory;

	for (;;) {
		memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (memory == MAP_FAILED || munmap(memory, LENGTH))
			fail("churn: mmap");
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

static long microseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int compare(const void *one, const void *other)
{
	return *(const int *)one - *(const int *)other;
}

static void print(const char *what, int *taken, int count)
{
	long sum = 0;
	int i;

	qsort(taken, (size_t)count, sizeof(*taken), compare);
	for (i = 0; i < count; i++)
		sum += taken[i];
	printf("%s %ld %d %d\n", what, sum / count, taken[count / 2], taken[count - 1]);
}

static void measure(const char *pid, int count)
{
	static int maps[COUNT_MAX], info[COUNT_MAX];
	char path[64];
	long begin;
	int i;

	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	for (i = 0; i < count; i++) {
		/* Whoever has just had to wait finds the way free: so each call comes after a pause. */
		usleep(PAUSE);
		begin = microseconds();
		read_maps(path);
		maps[i] = (int)(microseconds() - begin);
		usleep(PAUSE);
		begin = microseconds();
		get_info();
		info[i] = (int)(microseconds() - begin);
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
