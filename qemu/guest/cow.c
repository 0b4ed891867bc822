// SPDX-License-Identifier: GPL-2.0-only
/*
 * cow PAGES CHILD PARENT: a known number of copy-on-write faults in one VMA.
 *
 * Maps PAGES private anonymous pages, touches all, forks. The child writes the first CHILD pages and exits: so
 * many faults on pages that both share, each a copy. Then the parent writes the last PARENT pages: they are
 * still write-protected by the fork, so that is PARENT faults more, copies or not. The VMA counts CHILD + PARENT.
 *
 * Prints "vma START END" (hexadecimal, as in /proc/PID/maps), then /proc/self/maps as it is at the end.
 */
#include "nolibc.h"

static void write_pages(unsigned long start, long first, long count, char value)
{
	long i;

	for (i = first; i < first + count; i++)
		*(volatile char *)(start + (unsigned long)i * PAGE_SIZE) = value;
}

static void wait_for(long pid)
{
	int status = 0;
	long result = sys3(NR_waitpid, pid, &status, 0);

	if (result != pid)
		die("cow: waitpid", result);
	if (status)
		die("cow: the child's status", status);
}

int main(int argc, char **argv)
{
	long pages, child, parent, pid;
	unsigned long start;

	if (argc != 4) {
		put(2, "usage: cow PAGES CHILD PARENT\n");
		return 2;
	}
	pages = number_of(argv[1]);
	child = number_of(argv[2]);
	parent = number_of(argv[3]);
	if (pages < 1 || child < 0 || child > pages || parent < 0 || parent > pages) {
		put(2, "cow: CHILD and PARENT must be numbers from 0 to PAGES\n");
		return 2;
	}

	start = (unsigned long)sys_mmap(0, (unsigned long)pages * PAGE_SIZE, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (is_error((long)start))
		die("cow: mmap", (long)start);
	write_pages(start, 0, pages, 1);

	pid = sys0(NR_fork);
	if (is_error(pid))
		die("cow: fork", pid);
	if (pid == 0) {
		write_pages(start, 0, child, 2);
		leave(0);
	}
	wait_for(pid);
	write_pages(start, pages - parent, parent, 3);

	put(1, "vma ");
	put_number(1, start, 16);
	put(1, " ");
	put_number(1, start + (unsigned long)pages * PAGE_SIZE, 16);
	put(1, "\n");
	put_file(1, "/proc/self/maps");
	return 0;
}
