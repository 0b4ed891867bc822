// SPDX-License-Identifier: GPL-2.0-only
/*
 * fork: the program that is tracked in the assignment's example.
 *
 * Touches its heap, its data and a mapping of its own, forks, and then both processes write some of the pages
 * that they share: copy-on-write faults in several VMAs. Each prints one line about what it wrote.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define MAP_PAGES 16
#define HEAP_PAGES 8
#define DATA_PAGES 4

static char data[DATA_PAGES * PAGE] = { 1 };

static void write_pages(char *start, int first, int count, char value)
{
	int i;

	for (i = first; i < first + count; i++)
		start[i * PAGE] = value;
}

static void report(const char *who, int map, int heap, int global)
{
	printf("%s %d: wrote %d pages of the mapping, %d of the heap, %d of the data\n", who, (int)getpid(), map,
	       heap, global);
	fflush(stdout);
}

static int child(char *map, char *heap)
{
	write_pages(map, 0, 8, 2);
	write_pages(heap, 0, 4, 2);
	write_pages(data, 0, 2, 2);
	report("child", 8, 4, 2);
	return 0;
}

int main(void)
{
	char *map = mmap(NULL, MAP_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *heap = malloc(HEAP_PAGES * PAGE);
	int status;
	pid_t pid;

	if (map == MAP_FAILED || !heap) {
		perror("fork: no memory");
		return 1;
	}
	write_pages(map, 0, MAP_PAGES, 1);
	write_pages(heap, 0, HEAP_PAGES, 1);
	write_pages(data, 0, DATA_PAGES, 1);

	pid = fork();
	if (pid < 0) {
		perror("fork: cannot fork");
		return 1;
	}
	if (pid == 0)
		return child(map, heap);
	if (waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "fork: the child failed (status 0x%x)\n", status);
		return 1;
	}
	write_pages(map, MAP_PAGES - 4, 4, 3);
	write_pages(heap, HEAP_PAGES - 2, 2, 3);
	report("parent", 4, 2, 0);
	return 0;
}
