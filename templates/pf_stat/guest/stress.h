/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What torture.c and fuzz.c share: random numbers that repeat, the kernel log counted line by line, and the sets of
 * errors that a call may return.
 */
#ifndef STRESS_H
#define STRESS_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pf.h"

#define STRESS_UNUSED __attribute__((unused))

/* --- random numbers ----------------------------------------------------------------------------------- */

/* The finalizer of MurmurHash3: every bit of the result depends on every bit of x. */
static inline uint32_t mix(uint32_t x)
{
	x ^= x >> 16;
	x *= 0x85ebca6bu;
	x ^= x >> 13;
	x *= 0xc2b2ae35u;
	return x ^ (x >> 16);
}

struct random {
	uint32_t state;
};

/*
 * The numbers of one operation. Each operation has its own stream, so what it drew, or what the kernel answered, does
 * not change what the next one does: that is what makes a seed repeat a run.
 */
static inline struct random random_of(uint32_t seed, uint32_t worker, uint32_t index)
{
	return (struct random){ mix(mix(seed + 0x9e3779b9u * (worker + 1)) + index) };
}

static inline uint32_t draw(struct random *random)
{
	random->state += 0x9e3779b9u;
	return mix(random->state);
}

static inline uint32_t below(struct random *random, uint32_t limit)
{
	return draw(random) % limit;
}

/* --- sets of errors ----------------------------------------------------------------------------------- */

/* A set of results; SUCCESS is the result 0. Any errno that is not of these is in no set. */
#define SUCCESS (1u << 0)
#define IN_EINVAL (1u << 1)
#define IN_EFAULT (1u << 2)
#define IN_ENOMEM (1u << 3)
#define IN_EACCES (1u << 4)

/* The set that holds only this result. */
static inline unsigned int set_of(int error)
{
	switch (error) {
	case 0:
		return SUCCESS;
	case EINVAL:
		return IN_EINVAL;
	case EFAULT:
		return IN_EFAULT;
	case ENOMEM:
		return IN_ENOMEM;
	case EACCES:
		return IN_EACCES;
	default:
		return 0;
	}
}

/* What is wrong with what pf_get_info returned, NULL if nothing is. */
static STRESS_UNUSED const char *wrong_with(const struct pf_stat *stat)
{
	long sum = 0;
	int i;

	if (stat->nb_vma < 0 || stat->nb_vma > MAX_SIZE_PF)
		return "nb_vma is out of range";
	for (i = 0; i < stat->nb_vma; i++) {
		if (stat->vma_list_start[i] >= stat->vma_list_end[i])
			return "a VMA ends before it starts";
		if (i && stat->vma_list_start[i] < stat->vma_list_end[i - 1])
			return "the VMAs are not in order";
		if (stat->vma_fault[i] < 0)
			return "a VMA has a negative number of faults";
		sum += stat->vma_fault[i];
	}
	if (stat->cow_page_faults < sum)
		return "the total is less than the sum of the VMAs";
	return NULL;
}

/* --- the kernel log ----------------------------------------------------------------------------------- */

#define LOG_MARKER "patchgen-stress"
#define OTHERS_SHOWN 400

/*
 * A reader of /dev/kmsg. Lines at KERN_ERR that begin with the prefix are counted, all others printed as
 * "kmsg LEVEL TEXT": the host judges them.
 */
struct log {
	int fd;
	const char *prefix;
	unsigned long lines;	/* with the prefix */
	unsigned long others;
	unsigned long lost;	/* times that the buffer overran; 0 or the count is worth nothing */
	char last[160];		/* the last line with the prefix */
};

static void log_record(struct log *log, char *record)
{
	char *text = strchr(record, ';'), *end;
	int level = record[0] - '0';

	/* Facility and level are one number: two digits are of user space, the agent's marks and ours. */
	if (!text || record[1] != ',')
		return;
	text++;
	end = strchr(text, '\n');
	if (end)
		*end = '\0';
	if (level == 3 && !strncmp(text, log->prefix, strlen(log->prefix))) {
		log->lines++;
		snprintf(log->last, sizeof(log->last), "%s", text);
		return;
	}
	if (log->others++ < OTHERS_SHOWN) {
		printf("kmsg %d %s\n", level, text);
		fflush(stdout);
		if (level <= 4)	/* trouble: from now on the console shows it too */
			klogctl(8, NULL, 7);
	}
}

/* Reads what is there. Returns whether the marker `number` was among it. */
static int log_drain(struct log *log, long number)
{
	char record[8192 + 1], marker[64];
	int found = 0;
	ssize_t n;

	snprintf(marker, sizeof(marker), ";" LOG_MARKER " %ld\n", number);
	for (;;) {
		n = read(log->fd, record, sizeof(record) - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EPIPE) {
			log->lost++;
			continue;
		}
		if (n <= 0)
			return found;
		record[n] = '\0';
		found |= strstr(record, marker) != NULL;
		log_record(log, record);
	}
}

/* Reads on until all that has been logged before this call is counted. A line without its end is, too. */
static void log_sync(struct log *log)
{
	static long number;
	char line[64];
	int out = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	int length = snprintf(line, sizeof(line), "<15>" LOG_MARKER " %ld\n", ++number);
	int tries;

	if (out < 0 || write(out, line, (size_t)length) != length)
		log->lost++;
	close(out);
	for (tries = 0; !log_drain(log, number) && tries < 100; tries++)
		usleep(1000);
	if (tries == 100)
		log->lost++;
}

/* Opens it at its end. */
static int log_open(struct log *log, const char *prefix)
{
	*log = (struct log){ .prefix = prefix };
	log->fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (log->fd < 0) {
		perror("/dev/kmsg");
		return -1;
	}
	lseek(log->fd, 0, SEEK_END);
	return 0;
}

/* Sets what the console shows: messages of a level below this. A slow serial line is no place for a million lines. */
static STRESS_UNUSED void console_level(int level)
{
	klogctl(8 /* SYSLOG_ACTION_CONSOLE_LEVEL */, NULL, level);
}

#endif
