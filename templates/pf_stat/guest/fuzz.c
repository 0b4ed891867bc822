// SPDX-License-Identifier: GPL-2.0-only
/*
 * fuzz PREFIX SEED CALLS: calls the three system calls with whatever a program could hand them.
 *
 * Names and results lie in all kinds of memory: none, the kernel's, unmapped, not accessible, read-only, at the end of
 * a mapped page, and on pages that another thread maps and unmaps all the time. Of each call it is known what
 * the assignment and its test program allow for it, and a call that fails must log one line at KERN_ERR with the prefix;
 * one that succeeds none.
 *
 * The first half of the calls comes from one thread, which knows what is tracked and so knows the result exactly
 * (but for the pages that race). The second half comes from two threads at once. The names are tracked and this
 * program's own is among them, so its memory is watched while it is unmapped.
 *
 * Prints "FAIL ..." for each wrong result, "kmsg LEVEL TEXT" for each other line of the kernel's, and at the end
 * "KEY VALUE" lines. SEED repeats the calls of each thread.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "stress.h"

#define PAGE 4096UL
#define KERNEL 0xc0000000UL
#define NAMES 24
#define FAILURES_SHOWN 40
#define RACING "raced"

struct memory {
	unsigned long at;
	unsigned long room;	/* bytes from there on that can be accessed */
	int racing;
	int name;		/* of a name: which, -1 for none */
};

struct fuzzer {
	pthread_t thread;
	uint32_t seed, number;
	long first, count;
	int alone;
	unsigned long calls[3], failed;
	struct pf_stat *stat;	/* of its own, always there */
	char *edge;		/* a page with nothing behind it */
	char *readonly;
};

static char names[NAMES][32];
static char tracked[NAMES];	/* known only while one thread calls */
static char *hole, *none, *racing_name, *racing_stat;
static int name_file = -1;
static atomic_int stop, failures;

static void failure(const char *what, const char *call, long a, unsigned long b, long c, long result)
{
	if (atomic_fetch_add(&failures, 1) < FAILURES_SHOWN)
		printf("FAIL %s: %s(%#lx, %lu, %#lx) = %ld\n", what, call, (unsigned long)a, b, (unsigned long)c,
		       result);
}

static void *map(unsigned long length, int prot)
{
	void *at = mmap(NULL, length, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return at;
}

/* Maps and unmaps the racing pages, and changes what may be done to them, in places that nothing else maps. */
static void *unmapper(void *unused)
{
	struct random random = { 1 };
	struct timespec moment = { 0, 20000 };

	(void)unused;
	while (!stop) {
		mmap(racing_name, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, name_file, 0);
		mmap(racing_stat, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		nanosleep(&moment, NULL);
		switch (below(&random, 3)) {
		case 0:
			mprotect(racing_stat, PAGE, PROT_READ);
			mprotect(racing_name, PAGE, PROT_NONE);
			break;
		case 1:
			munmap(racing_stat, PAGE);
			munmap(racing_name, PAGE);
			break;
		default:
			madvise(racing_stat, PAGE, MADV_DONTNEED);
			munmap(racing_name, PAGE);
		}
		nanosleep(&moment, NULL);
	}
	return NULL;
}

static unsigned long some_length(struct random *random)
{
	static const unsigned long lengths[] = { 0, 1, 2, 3, 4, 8, 14, 15, 16, 17, 64, 254, 255, 256, 257, 4095, 4096,
						 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff };

	return lengths[below(random, sizeof(lengths) / sizeof(*lengths))];
}

/* Somewhere that no user may touch: another kind of it each time. */
static struct memory bad_place(struct random *random)
{
	uint32_t offset = draw(random);
	struct memory memory = { .name = -1 };

	switch (below(random, 5)) {
	case 0:
		break;	/* NULL */
	case 1:
		memory.at = KERNEL + offset % (0xffffffffUL - KERNEL);
		break;
	case 2:
		memory.at = (unsigned long)hole + offset % (64 * PAGE);
		break;
	case 3:
		memory.at = (unsigned long)none + offset % PAGE;
		break;
	default:
		memory.at = 0UL - 1 - offset % 2048;	/* the arithmetic wraps */
	}
	return memory;
}

/* A name somewhere and a length: mostly one that fits it. */
static struct memory some_name(struct fuzzer *fuzzer, struct random *random, unsigned long *length)
{
	struct memory memory = { .name = (int)below(random, NAMES) };
	uint32_t kind = below(random, 16), fits = below(random, 4), cut = below(random, 40);
	unsigned long odd = some_length(random);
	size_t whole = strlen(names[memory.name]);

	*length = fits ? whole : odd;
	if (kind < 10) {
		memory.at = (unsigned long)names[memory.name];
		memory.room = sizeof(names[0]) + 1024;	/* there is more memory behind it */
	} else if (kind < 12) {		/* its last byte, or one of them, is the last of the page */
		unsigned long room = fits ? whole : cut + 1;
		char *at = fuzzer->edge + PAGE - room;

		memset(at, 'x', room);
		memcpy(at, names[memory.name], room < whole ? room : whole);
		if (room != whole)
			memory.name = -1;
		memory.at = (unsigned long)at;
		memory.room = room;
	} else if (kind < 14) {
		memory.at = (unsigned long)racing_name;
		memory.room = PAGE;
		memory.racing = 1;
		memory.name = 0;
		*length = fits ? sizeof(RACING) - 1 : odd;
	} else {
		memory = bad_place(random);
	}
	return memory;
}

static struct memory some_result(struct fuzzer *fuzzer, struct random *random)
{
	uint32_t kind = below(random, 12), offset = below(random, PAGE);

	if (kind < 6)
		return (struct memory){ .at = (unsigned long)fuzzer->stat, .room = sizeof(struct pf_stat) };
	if (kind == 6)
		return (struct memory){ .at = (unsigned long)fuzzer->edge + offset, .room = PAGE - offset };
	if (kind == 7)
		return (struct memory){ .at = (unsigned long)fuzzer->readonly + offset % 1024 };
	if (kind < 10)
		return (struct memory){ .at = (unsigned long)racing_stat + offset, .room = PAGE - offset,
					.racing = 1 };
	return bad_place(random);
}

/*
 * The results that a name allows. An error that must come leaves SUCCESS out; one that may come is added. Bytes that
 * are behind a NUL, or behind the 15 that the kernel names processes by, may be read or not.
 */
static unsigned int name_allows(const struct memory *memory, unsigned long length)
{
	unsigned long read = length < 15 ? length : 15, text;
	unsigned int allowed = SUCCESS;

	if (!memory->at || !length || length > 255)
		allowed = IN_EINVAL;
	if (memory->racing)
		return allowed | IN_EFAULT;
	if (!memory->room)
		return (allowed & ~SUCCESS) | (memory->at ? IN_EFAULT : 0);
	text = strnlen((char *)memory->at, read < memory->room ? read : memory->room);
	if (!text && length)
		allowed |= IN_EINVAL;
	if (text == memory->room && text < read)
		allowed = (allowed & ~SUCCESS) | IN_EFAULT;
	else if (memory->room < length)
		allowed |= IN_EFAULT;
	return allowed;
}

static unsigned int result_allows(const struct memory *memory)
{
	if (!memory->at)
		return IN_EINVAL;
	if (memory->room < sizeof(struct pf_stat))
		return IN_EFAULT;
	return SUCCESS | (memory->racing ? IN_EFAULT : 0);
}

/* What follows from which names are tracked: exact for one thread and a whole name, else all of it. */
static unsigned int state_allows(const struct fuzzer *fuzzer, const struct memory *memory, unsigned long length)
{
	if (!fuzzer->alone)
		return SUCCESS | IN_EACCES | IN_EINVAL;
	if (!memchr(tracked, 1, sizeof(tracked)))
		return IN_EACCES;
	if (memory->name < 0 || length < strlen(names[memory->name]))
		return SUCCESS | IN_EINVAL;
	return tracked[memory->name] ? SUCCESS : IN_EINVAL;
}

/* Several things may be wrong with a call: any of their errors will do, but one must come. */
static unsigned int together(unsigned int a, unsigned int b)
{
	return ((a | b) & ~SUCCESS) | (a & b & SUCCESS);
}

static void judge(struct fuzzer *fuzzer, const char *call, long result, unsigned int allowed, long a, unsigned long b,
		  long c)
{
	int error = result < 0 ? errno : 0;

	if (error)
		fuzzer->failed++;
	if (!(set_of(error) & allowed) || result > 0)
		failure("a result that its arguments do not allow", call, a, b, c, error ? -error : result);
}

static int set_param(struct fuzzer *fuzzer, struct random *random)
{
	unsigned long length;
	struct memory name = some_name(fuzzer, random, &length);
	unsigned int allowed = name_allows(&name, length);
	long result = syscall(PF_NR_SET_PARAM, name.at, length);

	judge(fuzzer, "pf_set_param", result, allowed, (long)name.at, length, 0);
	/* Part of a name, or more than it, is a name of its own: from then on it is not known what is tracked. */
	if (result == 0 && (name.name < 0 || length < strlen(names[name.name])))
		return 0;
	if (result == 0)
		tracked[name.name] = 1;
	return 1;
}

static void get_info(struct fuzzer *fuzzer, struct random *random)
{
	unsigned long length;
	struct memory name = some_name(fuzzer, random, &length), to = some_result(fuzzer, random);
	unsigned int allowed = together(name_allows(&name, length), result_allows(&to));
	unsigned int state = state_allows(fuzzer, &name, length);
	const char *wrong;
	long result;

	result = syscall(PF_NR_GET_INFO, name.at, length, to.at);
	judge(fuzzer, "pf_get_info", result, together(allowed, state), (long)name.at, length, (long)to.at);
	if (result || to.at != (unsigned long)fuzzer->stat)
		return;
	wrong = wrong_with(fuzzer->stat);
	if (wrong)
		failure(wrong, "pf_get_info", (long)name.at, length, (long)to.at, result);
}

static void cleanup(struct fuzzer *fuzzer)
{
	unsigned int allowed = SUCCESS | IN_EACCES;
	long result;

	if (fuzzer->alone)
		allowed = memchr(tracked, 1, sizeof(tracked)) ? SUCCESS : IN_EACCES;
	result = syscall(PF_NR_CLEANUP);
	judge(fuzzer, "pf_cleanup", result, allowed, 0, 0, 0);
	memset(tracked, 0, sizeof(tracked));
}

static void *fuzz(void *argument)
{
	struct fuzzer *fuzzer = argument;
	long i;

	for (i = 0; i < fuzzer->count; i++) {
		struct random random = random_of(fuzzer->seed, fuzzer->number, (uint32_t)(fuzzer->first + i));
		uint32_t which = below(&random, 100);
		/* Few cleanups, or hardly anything is ever tracked. */
		int call = which < 40 ? 0 : which < 94 ? 1 : 2;

		fuzzer->calls[call]++;
		if (call == 1) {
			get_info(fuzzer, &random);
		} else if (call == 2) {
			cleanup(fuzzer);
		} else if (!set_param(fuzzer, &random) && fuzzer->alone) {
			fuzzer->calls[2]++;
			if (syscall(PF_NR_CLEANUP))
				fuzzer->failed++;
			memset(tracked, 0, sizeof(tracked));
		}
	}
	return NULL;
}

static void prepare(struct fuzzer *fuzzer, uint32_t seed, uint32_t number)
{
	fuzzer->seed = seed;
	fuzzer->number = number;
	fuzzer->stat = map(PAGE, PROT_READ | PROT_WRITE);
	fuzzer->edge = map(2 * PAGE, PROT_READ | PROT_WRITE);
	mprotect(fuzzer->edge + PAGE, PAGE, PROT_NONE);	/* a hole here would be filled by the next mapping */
	fuzzer->readonly = map(PAGE, PROT_READ);
}

static int prepare_all(void)
{
	static const char text[] = RACING;
	int i;

	strcpy(names[0], RACING);
	strcpy(names[1], "fuzz");
	for (i = 2; i < NAMES; i++)
		snprintf(names[i], sizeof(names[i]), i % 4 ? "n%d" : "name-%d-of-more-bytes", i);
	/* All of these are mapped once and for all, so that the holes stay holes. */
	none = map(PAGE, PROT_NONE);
	racing_name = map(PAGE, PROT_NONE);
	racing_stat = map(PAGE, PROT_NONE);
	hole = map(66 * PAGE, PROT_NONE);
	name_file = open("/tmp/.raced", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (name_file < 0 || write(name_file, text, sizeof(text)) != sizeof(text) || ftruncate(name_file, PAGE))
		return -1;
	return 0;
}

/* Runs the fuzzers to their end, and counts the kernel's lines meanwhile. */
static int run(struct fuzzer *fuzzers, int count, struct log *log)
{
	struct timespec moment = { 0, 2000000 };
	int i, running = count;

	for (i = 0; i < count; i++)
		if (pthread_create(&fuzzers[i].thread, NULL, fuzz, &fuzzers[i]))
			return -1;
	while (running) {
		log_drain(log, 0);
		if (!pthread_tryjoin_np(fuzzers[running - 1].thread, NULL))
			running--;
		else
			nanosleep(&moment, NULL);
	}
	return 0;
}

static void report(const struct fuzzer *fuzzers, int count, const struct log *log, unsigned long more)
{
	unsigned long calls[3] = { 0 }, failed = more;
	int i, j;

	for (i = 0; i < count; i++) {
		failed += fuzzers[i].failed;
		for (j = 0; j < 3; j++)
			calls[j] += fuzzers[i].calls[j];
	}
	if (log->lost)
		printf("FAIL the kernel's log overran %lu times: its lines cannot be counted\n", log->lost);
	else if (log->lines != failed && ++failures)
		printf("FAIL %lu calls failed, and %lu lines were logged\n", failed, log->lines);
	printf("set_param %lu\nget_info %lu\ncleanup %lu\nfailed %lu\nlines %lu\nothers %lu\nunexpected %d\n", calls[0],
	       calls[1], calls[2], failed, log->lines, log->others, failures);
}

int main(int argc, char **argv)
{
	static struct fuzzer fuzzers[3];
	pthread_t racer;
	struct log log;
	uint32_t seed, i;
	long calls, alone;

	if (argc != 4) {
		fprintf(stderr, "usage: fuzz PREFIX SEED CALLS\n");
		return 2;
	}
	seed = (uint32_t)strtoul(argv[2], NULL, 10);
	calls = atol(argv[3]);
	if (prepare_all() || log_open(&log, argv[1]))
		return 2;
	if (syscall(PF_NR_CLEANUP) && errno == ENOSYS) {
		printf("FAIL the system calls are not there (ENOSYS)\n");
		return 1;
	}
	log_sync(&log);
	log.lines = 0;
	for (i = 0; i < 3; i++)
		prepare(&fuzzers[i], seed, i);
	console_level(1);
	if (pthread_create(&racer, NULL, unmapper, NULL))
		return 2;
	/* Too small for what is mapped from now on, which is stacks and arenas of threads. */
	munmap(hole + PAGE, 64 * PAGE);
	hole += PAGE;

	alone = calls / 2;
	fuzzers[0].alone = 1;
	fuzzers[0].count = alone;
	fuzzers[1].count = (calls - alone) / 2;
	fuzzers[2].count = calls - alone - fuzzers[1].count;
	if (run(fuzzers, 1, &log) || run(fuzzers + 1, 2, &log))
		return 2;
	stop = 1;
	pthread_join(racer, NULL);
	i = syscall(PF_NR_CLEANUP) != 0;
	log_sync(&log);
	console_level(7);
	report(fuzzers, 3, &log, i);
	return failures || log.lost ? 1 : 0;
}
