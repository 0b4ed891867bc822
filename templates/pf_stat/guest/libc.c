// SPDX-License-Identifier: GPL-2.0-only
/*
 * libc PAGES CHILD PARENT: an ordinary program of a C library, with a known number of copy-on-write faults.
 *
 * Like what users run it has a loader, a heap, threads and buffered output, all with faults of their own. Only the
 * memory that it maps itself is known exactly: PAGES pages, touched, forked; a child writes CHILD of them in one
 * thread after the other, then the parent PARENT. Prints "area START END", then /proc/self/maps as it is at the end.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

struct part {
	char *start;
	int pages;
};

static void *write_part(void *argument)
{
	struct part *part = argument;
	char *heap = malloc(3 * PAGE);
	int i;

	for (i = 0; i < part->pages; i++)
		part->start[i * PAGE] = 2;
	memset(heap, 1, 3 * PAGE);
	free(heap);
	return NULL;
}

/* A second thread writes the same pages after the first: no further fault, and nothing left to chance. */
static void write_twice(char *start, int pages)
{
	struct part part = { start, pages };
	pthread_t other;

	write_part(&part);
	if (pthread_create(&other, NULL, write_part, &part)) {
		fprintf(stderr, "libc: cannot start a thread\n");
		exit(1);
	}
	pthread_join(other, NULL);
}

static void print_maps(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	static char line[256];

	while (maps && fgets(line, sizeof(line), maps))
		fputs(line, stdout);
	fflush(stdout);
	_exit(0);
}

int main(int argc, char **argv)
{
	int pages = argc == 4 ? atoi(argv[1]) : 0, status;
	char *area;
	pid_t pid;

	if (pages < 1 || atoi(argv[2]) > pages || atoi(argv[3]) > pages) {
		fprintf(stderr, "usage: libc PAGES CHILD PARENT\n");
		return 2;
	}
	/* A hole on both sides, so that it is a VMA of its own. */
	area = mmap(NULL, (size_t)(pages + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED || mprotect(area + PAGE, (size_t)pages * PAGE, PROT_READ | PROT_WRITE)) {
		perror("libc: mmap");
		return 1;
	}
	area += PAGE;
	write_part(&(struct part){ area, pages });
	pid = fork();
	if (pid == 0) {
		write_twice(area, atoi(argv[2]));
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
		fprintf(stderr, "libc: the child failed\n");
		return 1;
	}
	write_twice(area, atoi(argv[3]));
	printf("area %lx %lx\n", (unsigned long)area, (unsigned long)area + (unsigned long)pages * PAGE);
	print_maps();
}
