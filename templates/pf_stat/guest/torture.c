// SPDX-License-Identifier: GPL-2.0-only
/*
 * torture: everything that a tracked process can do, at once, on all CPUs.
 *
 *	torture run PREFIX SEED SECONDS WORKERS PERCENT [OPERATIONS]
 *	torture nth PREFIX
 *	torture race PREFIX SECONDS
 *
 * "run" starts workers that fork, execute tracked and untracked names, vfork and execute, write to memory that they
 * share with others, race with threads, map, unmap, move and protect memory, name themselves, leave orphans, exit;
 * and that track, read and clean up from all sides meanwhile. With PERCENT, so many allocations fail in the children
 * (Documentation/fault-injection/fault-injection.txt). SEED repeats what each worker does, operation by operation; OPERATIONS
 * ends each after so many.
 *
 * "nth" fails the first allocation of a call, then the second, and so on, until the call needs no more: for the calls,
 * for a copy-on-write fault that needs memory for its counter, for fork and for exec of a tracked program.
 *
 * "race" brings two CPUs to the same place at the same time, and knows what must have been counted: two processes of
 * a run whose faults are the first in their 8 MB, and a run that begins while processes of the one before fault; and
 * pf_cleanup, again and again, by two processes, while a third faults all the time.
 *
 * Prints "FAIL ..." for what must not be, "kmsg LEVEL TEXT" for lines of the kernel's that are not ours, and "KEY VALUE"
 * lines at the end.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

#include "stress.h"

#define PAGE 4096UL
#define STATE "/tmp/torture.state"
#define FAILURES "/tmp/torture.fail"
#define STOP "/tmp/torture.stop"	/* ends a run when it is there: a guest's seconds can be longer than the host's */
#define SELF "/proc/self/exe"
#define WORKERS_MAX 16
#define DIGESTED 64		/* operations of each worker whose digest is printed: two runs of a seed compare */
#define REGION 32		/* pages that are played with */
#define FAILURES_MAX 40

enum { CALL_SET, CALL_GET, CALL_CLEANUP, CALLS };

/* Shared by all processes of a run, the executed ones too: a file that is mapped. */
struct state {
	atomic_ulong calls[CALLS], failed, unexpected;
	atomic_ulong forks, execs, vforks, threads, orphans, writes, maps, names, killed;
	atomic_ulong operations[WORKERS_MAX];
	uint32_t digest[WORKERS_MAX];
	int percent;
	atomic_int stop;
	atomic_int met, turn;	/* of the races */
};

static struct state *state;

/* The first TRACKED of them are tracked now and then; the rest never. */
static const char *const names[] = { "pft-a", "pft-b", "pft-c-is-a-longer-name", "torture", "pft-never-run", "other" };

#define TRACKED 5
#define PROGRAMS 3		/* the first so many exist as files in /tmp, and "other" */
#define OTHER 5

static void __attribute__((format(printf, 1, 2))) unexpected(const char *format, ...)
{
	char line[300];
	int fd, n;
	va_list arguments;

	if (atomic_fetch_add(&state->unexpected, 1) >= FAILURES_MAX)
		return;
	va_start(arguments, format);
	n = vsnprintf(line, sizeof(line) - 1, format, arguments);
	va_end(arguments);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	fd = open(FAILURES, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		perror(FAILURES);
	close(fd);
}

static int open_state(int create)
{
	int fd = open(STATE, O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_TRUNC : 0), 0600);

	if (fd < 0 || (create && ftruncate(fd, sizeof(*state))))
		return -1;
	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return state == MAP_FAILED ? -1 : 0;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), failed;

	failed = fd < 0 || write(fd, text, strlen(text)) < 0;
	if (fd >= 0)
		close(fd);
	return failed ? -1 : 0;
}

/* --- the calls ---------------------------------------------------------------------------------------- */

static long checked(int call, const char *name, long result, unsigned int allowed)
{
	static const char *const called[] = { "pf_set_param", "pf_get_info", "pf_cleanup" };
	int error = result < 0 ? errno : 0;

	atomic_fetch_add(&state->calls[call], 1);
	if (error)
		atomic_fetch_add(&state->failed, 1);
	if (state->percent && call != CALL_CLEANUP)
		allowed |= IN_ENOMEM;
	if (result > 0 || !(set_of(error) & allowed))
		unexpected("%s(%s) returned %ld", called[call], name, error ? -error : result);
	return result;
}

static void set_param(const char *name)
{
	checked(CALL_SET, name, syscall(PF_NR_SET_PARAM, name, strlen(name)), SUCCESS);
}

static void get_info(const char *name)
{
	struct pf_stat stat;
	const char *wrong;

	memset(&stat, 0x5a, sizeof(stat));
	if (checked(CALL_GET, name, syscall(PF_NR_GET_INFO, name, strlen(name), &stat),
		    SUCCESS | IN_EACCES | IN_EINVAL))
		return;
	wrong = wrong_with(&stat);
	if (wrong)
		unexpected("pf_get_info(%s): %s (%d VMAs, %ld faults)", name, wrong, stat.nb_vma,
			   stat.cow_page_faults);
}

static void cleanup(void)
{
	checked(CALL_CLEANUP, "", syscall(PF_NR_CLEANUP), SUCCESS | IN_EACCES);
}

static void some_call(struct random *random)
{
	const char *name = names[below(random, TRACKED)];
	uint32_t which = below(random, 16);

	if (which < 7)
		set_param(name);
	else if (which < 15)
		get_info(name);
	else
		cleanup();
}

/* --- processes ---------------------------------------------------------------------------------------- */

/* Children of a run with failing allocations may die of them; no others may. */
static void wait_for(pid_t pid)
{
	int status;

	if (pid <= 0 || waitpid(pid, &status, 0) != pid)
		return;
	if (!WIFSIGNALED(status))
		return;
	atomic_fetch_add(&state->killed, 1);
	if (!state->percent)
		unexpected("a child was killed by signal %d", WTERMSIG(status));
}

static pid_t forked(void)
{
	pid_t pid = fork();

	if (pid < 0 && !state->percent)
		unexpected("fork: %s", strerror(errno));
	atomic_fetch_add(&state->forks, 1);
	return pid;
}

/* Becomes a program of that name, which then does what `program` does. */
static void __attribute__((noreturn)) execute(int which, uint32_t seed)
{
	char path[64], number[16];
	char *argv[] = { path, "program", number, NULL };

	snprintf(path, sizeof(path), "/tmp/%s", names[which]);
	snprintf(number, sizeof(number), "%u", seed);
	execve(path, argv, environ);
	_exit(0);
}

static void fork_exec(int which, uint32_t seed)
{
	pid_t pid = forked();

	if (pid == 0)
		execute(which, seed);
	atomic_fetch_add(&state->execs, 1);
	wait_for(pid);
}

static void vfork_exec(int which, uint32_t seed)
{
	char path[64], number[16];
	char *argv[] = { path, "program", number, NULL };
	pid_t pid;

	snprintf(path, sizeof(path), "/tmp/%s", names[which]);
	snprintf(number, sizeof(number), "%u", seed);
	atomic_fetch_add(&state->vforks, 1);
	pid = vfork();
	if (pid == 0) {
		execve(path, argv, environ);
		_exit(0);
	}
	wait_for(pid);
}

/* --- memory ------------------------------------------------------------------------------------------- */

static void dirty(volatile char *page)
{
	*page += 1;
	atomic_fetch_add(&state->writes, 1);
}

static volatile char *region_of(unsigned long pages)
{
	void *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	atomic_fetch_add(&state->maps, 1);
	return at == MAP_FAILED ? NULL : at;
}

/* A child and its parent write to pages that they share, at the same time. */
static void share(struct random *random, volatile char *region, unsigned long pages)
{
	uint32_t mine = draw(random), its = draw(random), calls = below(random, 4);
	unsigned long i;
	pid_t pid = forked();

	if (pid < 0)
		return;
	for (i = 0; i < pages; i++)
		if ((pid ? mine : its) >> (i % 32) & 1)
			dirty(region + i * PAGE);
	if (pid == 0) {
		if (calls == 0)
			some_call(random);
		_exit(0);
	}
	wait_for(pid);
}

struct race {
	volatile char *region;
	unsigned long pages;
};

static void *racer(void *argument)
{
	struct race *race = argument;
	unsigned long i;

	for (i = 0; i < race->pages; i++)
		dirty(race->region + i * PAGE);
	return NULL;
}

/* Threads write to the same pages at the same time, while a child still shares them. */
static void race(struct random *random)
{
	struct race race = { region_of(REGION), REGION };
	pthread_t threads[3];
	int i, started = 0, hold[2];
	char byte;
	pid_t pid;

	if (!race.region || pipe2(hold, O_CLOEXEC))
		return;
	racer(&race);
	pid = forked();
	if (pid == 0) {
		close(hold[1]);
		_exit(read(hold[0], &byte, 1) > 0);
	}
	for (i = 0; i < 3; i++)
		started += !pthread_create(&threads[started], NULL, racer, &race);
	atomic_fetch_add(&state->threads, (unsigned long)started);
	if (below(random, 2))
		some_call(random);
	for (i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	close(hold[0]);
	close(hold[1]);
	wait_for(pid);
	munmap((void *)race.region, REGION * PAGE);
}

/* Some pages in the middle change hands: other protection, gone, or new. */
static void rearrange(struct random *random, volatile char *region)
{
	unsigned long first = below(random, REGION / 2), count = 1 + below(random, REGION / 2);
	volatile char *at = region + first * PAGE;
	unsigned long i;

	atomic_fetch_add(&state->maps, 1);
	switch (below(random, 4)) {
	case 0:
		mprotect((void *)at, count * PAGE, PROT_READ);
		mprotect((void *)at, count * PAGE, PROT_READ | PROT_WRITE);
		break;
	case 1:
		munmap((void *)at, count * PAGE);
		mmap((void *)at, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		break;
	case 2:
		madvise((void *)at, count * PAGE, MADV_DONTNEED);
		for (i = 0; i < count; i++)	/* the zero page, copied when written to */
			if (at[i * PAGE] == 0)
				dirty(at + i * PAGE);
		break;
	default:
		mprotect((void *)at, count * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	}
}

/* Moves pages somewhere else, larger. */
static void move(void)
{
	volatile char *from = region_of(8);
	void *to;

	if (!from)
		return;
	dirty(from);
	to = mremap((void *)from, 8 * PAGE, 24 * PAGE, MREMAP_MAYMOVE);
	if (to == MAP_FAILED) {
		munmap((void *)from, 8 * PAGE);
		return;
	}
	dirty(to);
	munmap(to, 24 * PAGE);
}

static void heap(struct random *random)
{
	unsigned long pages = 1 + below(random, 16), i;
	volatile char *start = sbrk((intptr_t)(pages * PAGE));

	if (start == (void *)-1)
		return;
	for (i = 0; i < pages; i++)
		if (start[i * PAGE] == 0)
			dirty(start + i * PAGE);
	sbrk(-(intptr_t)(pages * PAGE));
}

/* A private mapping of a file: reads, then copies. */
static void file_pages(void)
{
	int fd = open(SELF, O_RDONLY | O_CLOEXEC), i;
	volatile char *at, sum = 0;

	if (fd < 0)
		return;
	at = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	close(fd);
	if (at == MAP_FAILED)
		return;
	for (i = 0; i < 8; i++) {
		sum += at[i * (int)PAGE];
		dirty(at + i * (int)PAGE);
	}
	munmap((void *)at, 8 * PAGE);
}

/* The last page of 4 MB and the first of the next, somewhere: each 4 MB may have counters of its own. */
static void far_apart(struct random *random)
{
	unsigned long at = 0x20000000 + below(random, 64) * 0x00400000UL - PAGE;
	volatile char *pages = mmap((void *)at, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		return;
	if (pages[0] == 0)
		dirty(pages);
	if (pages[PAGE] == 0)
		dirty(pages + PAGE);
	munmap((void *)pages, 2 * PAGE);
}

static void rename_self(struct random *random)
{
	prctl(PR_SET_NAME, names[below(random, OTHER + 1)]);
	atomic_fetch_add(&state->names, 1);
}

static void play(struct random *random, int steps)
{
	volatile char *region = region_of(REGION);
	unsigned long i;

	if (!region)
		return;
	for (i = 0; i < REGION; i++)
		dirty(region + i * PAGE);
	while (steps--) {
		/* A stream of its own for each step: what a step draws depends on what allocations fail in it. */
		struct random own = { draw(random) };

		switch (below(&own, 10)) {
		case 0:
		case 1:
			share(&own, region, REGION);
			break;
		case 2:
		case 3:
			rearrange(&own, region);
			break;
		case 4:
			move();
			break;
		case 5:
			heap(&own);
			break;
		case 6:
			file_pages();
			break;
		case 7:
			far_apart(&own);
			break;
		case 8:
			rename_self(&own);
			break;
		default:
			some_call(&own);
		}
	}
	munmap((void *)region, REGION * PAGE);
}

/* What an executed program does. */
static int program(uint32_t seed)
{
	struct random random = { seed };
	uint32_t how = below(&random, 8);

	if (open_state(0))
		return 0;
	if (how == 0)
		execute((int)below(&random, PROGRAMS), draw(&random));	/* straight into the next one */
	play(&random, 1 + (int)below(&random, 6));
	if (how == 1)
		race(&random);
	return 0;
}

/* --- run ---------------------------------------------------------------------------------------------- */

/* A process whose parent is gone, and that is still counted into the parent's run. */
static void orphan(struct random *random)
{
	pid_t pid = forked();

	if (pid == 0) {
		pid_t child = forked();

		if (child == 0)
			play(random, 2);
		_exit(0);
	}
	atomic_fetch_add(&state->orphans, 1);
	wait_for(pid);
}

/* One operation of a worker. Returns which, for the digest. */
static uint32_t operation(struct random *random)
{
	uint32_t which = below(random, 20);

	if (which < 8) {
		some_call(random);
	} else if (which < 12) {
		fork_exec((int)below(random, PROGRAMS), draw(random));
	} else if (which < 14) {
		vfork_exec((int)below(random, PROGRAMS), draw(random));
	} else if (which == 14) {
		fork_exec(OTHER, draw(random));
	} else if (which == 15) {
		orphan(random);
	} else if (which == 16) {
		race(random);
	} else if (which == 17) {
		rename_self(random);
	} else {
		play(random, 3);
	}
	return which;
}

/* In a child whose allocations fail, and which is the first to go when memory seems to be out. */
static void operation_that_may_fail(struct random *random)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (write_file("/proc/self/oom_score_adj", "1000") || write_file("/proc/self/make-it-fail", "1"))
			unexpected("cannot make allocations fail: %s", strerror(errno));
		operation(random);
		_exit(0);
	}
	wait_for(pid);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void __attribute__((noreturn)) worker(uint32_t seed, uint32_t number, double end, uint32_t count)
{
	uint32_t index;

	for (index = 0; index < count && !state->stop && now() < end; index++) {
		struct random random = random_of(seed, number, index);

		uint32_t which = 0;

		if (state->percent)
			operation_that_may_fail(&random);
		else
			which = operation(&random);
		if (index < DIGESTED)
			state->digest[number] = mix(state->digest[number] ^ random.state ^ which);
		atomic_fetch_add(&state->operations[number], 1);
	}
	_exit(0);
}

static int set_injection(const char *what, int percent, const char *further)
{
	static const char *const values[][2] = {
		{ "ignore-gfp-wait", "N" }, { "verbose", "0" }, { "times", "-1" }, { "interval", "1" },
		{ "task-filter", "Y" },
	};
	char path[128], text[16];
	unsigned int i;

	for (i = 0; i < sizeof(values) / sizeof(*values); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", what, values[i][0]);
		if (write_file(path, values[i][1]))
			return -1;
	}
	if (further) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", what, further);
		if (write_file(path, "1"))
			return -1;
	}
	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/probability", what);
	snprintf(text, sizeof(text), "%d", percent);
	return write_file(path, text);
}

/*
 * Single pages never fail: the kernel's own debugging gets its memory so, and switches itself off without. Counters
 * and programs are more than a page when slub guards them, so theirs do fail.
 */
static int inject(int percent)
{
	if (set_injection("failslab", percent, NULL) || set_injection("fail_page_alloc", percent, "min-order")) {
		perror("fault injection (CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC)");
		return -1;
	}
	return 0;
}

static int make_programs(void)
{
	static const int which[] = { 0, 1, 2, OTHER };
	char path[64], self[256];
	ssize_t n = readlink(SELF, self, sizeof(self) - 1);
	unsigned int i;

	if (n < 0)
		return -1;
	self[n] = '\0';
	for (i = 0; i < sizeof(which) / sizeof(*which); i++) {
		snprintf(path, sizeof(path), "/tmp/%s", names[which[i]]);
		unlink(path);
		if (link(self, path))
			return -1;
	}
	return 0;
}

static void print_failures(void)
{
	char line[300];
	FILE *file = fopen(FAILURES, "re");

	while (file && fgets(line, sizeof(line), file))
		printf("FAIL %s", line);
	if (file)
		fclose(file);
}

static void print_state(const struct log *log, int workers)
{
	unsigned long operations = 0;
	int i;

	for (i = 0; i < workers; i++) {
		operations += state->operations[i];
		printf("digest-%d %lu %08x\n", i, state->operations[i], state->digest[i]);
	}
	printf("set_param %lu\nget_info %lu\ncleanup %lu\nfailed %lu\nlines %lu\nothers %lu\n", state->calls[CALL_SET],
	       state->calls[CALL_GET], state->calls[CALL_CLEANUP], state->failed, log->lines, log->others);
	printf("operations %lu\nforks %lu\nexecs %lu\nvforks %lu\nthreads %lu\norphans %lu\nwrites %lu\nmaps %lu\nnames %lu\n"
	       "killed %lu\nunexpected %lu\n",
	       operations, state->forks, state->execs, state->vforks, state->threads, state->orphans, state->writes,
	       state->maps, state->names, state->killed, state->unexpected);
}

/* Starts the workers and reads the log until they, and all orphans, have ended. */
static void follow_workers(struct log *log, uint32_t seed, double end, int workers, uint32_t count)
{
	int i, status;
	pid_t pid;

	for (i = 0; i < workers; i++)
		if (fork() == 0)
			worker(seed, (uint32_t)i, end, count);
	while ((pid = waitpid(-1, &status, WNOHANG)) >= 0) {
		if (pid > 0 && WIFSIGNALED(status) && !state->percent)
			unexpected("process %d was killed by signal %d", pid, WTERMSIG(status));
		log_drain(log, 0);
		if (!access(STOP, F_OK))
			state->stop = 1;
		if (pid == 0)
			usleep(2000);
	}
}

/* One line for each failed call; with failing allocations also for faults that cannot be counted by VMA. */
static void compare_lines(const struct log *log)
{
	if (log->lost)
		unexpected("the kernel's log overran %lu times: its lines cannot be counted", log->lost);
	else if (log->lines < state->failed || (log->lines > state->failed && !state->percent))
		unexpected("%lu calls failed, and %lu lines were logged", state->failed, log->lines);
}

static int run(const char *prefix, uint32_t seed, double seconds, int workers, int percent, uint32_t count)
{
	struct log log;

	unlink(FAILURES);
	unlink(STOP);
	if (open_state(1) || make_programs() || log_open(&log, prefix) || (percent && inject(percent)))
		return 2;
	state->percent = percent;
	write_file("/proc/self/oom_score_adj", "-999");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	syscall(PF_NR_CLEANUP);
	log_sync(&log);
	log.lines = 0;
	follow_workers(&log, seed, now() + seconds, workers, count);
	if (percent)
		inject(0);
	cleanup();
	log_sync(&log);
	compare_lines(&log);
	print_failures();
	print_state(&log, workers);
	return state->unexpected ? 1 : 0;
}

/* --- nth ---------------------------------------------------------------------------------------------- */

static int fail_nth = -1;

/* The n-th allocation of this task from now on fails. Returns how many it had left before: 0 if one has failed. */
static int fail_from_now(int n)
{
	char text[16] = "";
	ssize_t got = pread(fail_nth, text, sizeof(text) - 1, 0);
	int left = got > 0 ? atoi(text) : -1;

	snprintf(text, sizeof(text), "%d", n);
	if (pwrite(fail_nth, text, strlen(text), 0) < 0)
		unexpected("/proc/thread-self/fail-nth: %s", strerror(errno));
	return left;
}

/* Since 5.4 kmemleak allocates a record of each allocation, and takes it from a pool of its own if that fails. */
static int kmemleak_has_a_pool(void)
{
	int major = 0, minor = 0;
	struct utsname name;

	return !uname(&name) && sscanf(name.release, "%d.%d", &major, &minor) == 2 && major * 100 + minor >= 504;
}

/* A call in which an allocation failed must say so, with one line; the same call without must succeed. */
static int judge_nth(struct log *log, const char *call, int n, long result, int error, int left)
{
	unsigned long before = log->lines;

	log_sync(log);
	if ((left || (n > 1 && kmemleak_has_a_pool())) && !result && log->lines == before)
		return 0;
	if (left)
		unexpected("%s: no allocation failed, but it returned %ld and logged %lu lines", call,
			   result ? -(long)error : 0, log->lines - before);
	else if (!result || error != ENOMEM)
		unexpected("%s: its allocation %d failed, and it returned %ld", call, n, result ? -(long)error : 0);
	else if (log->lines != before + 1)
		unexpected("%s: its allocation %d failed, and it logged %lu lines", call, n, log->lines - before);
	return !left;
}

static unsigned long nth_calls(struct log *log)
{
	static const char name[] = "pft-nth";
	struct pf_stat stat;
	unsigned long failed = 0;
	long result;
	int n, error, left;

	for (n = 1, left = 0; !left && n < 100; n++) {
		fail_from_now(n);
		result = syscall(PF_NR_SET_PARAM, name, strlen(name));
		error = errno;
		left = fail_from_now(0);
		failed += (unsigned long)judge_nth(log, "pf_set_param", n, result, error, left);
	}
	for (n = 1, left = 0; !left && n < 100; n++) {
		fail_from_now(n);
		result = syscall(PF_NR_GET_INFO, name, strlen(name), &stat);
		error = errno;
		left = fail_from_now(0);
		failed += (unsigned long)judge_nth(log, "pf_get_info", n, result, error, left);
	}
	fail_from_now(1);
	result = syscall(PF_NR_CLEANUP);
	error = errno;
	left = fail_from_now(0);
	judge_nth(log, "pf_cleanup", 1, result, error, 1);
	return failed;
}

static long faults_in(const struct pf_stat *stat, unsigned long at)
{
	int i;

	for (i = 0; i < stat->nb_vma; i++)
		if (stat->vma_list_start[i] <= at && at < stat->vma_list_end[i])
			return stat->vma_fault[i];
	return -1;
}

/*
 * Executed under a tracked name: copy-on-write faults (of the zero page, read before) while allocations fail. Each is
 * in 4 MB of its own, where nothing has been counted yet. Returns how many went into the total only.
 */
static int program_nth(const char *name, const char *prefix)
{
	struct pf_stat before, after;
	struct log log;
	int n, left, missed = 0;

	if (open_state(0) || log_open(&log, prefix))
		return 100;
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	for (n = 0; n < 6; n++) {	/* pr_err_ratelimited lets ten lines through in five seconds */
		unsigned long address = 0x20000000 + (unsigned long)n * 0x00800000UL, lines = log.lines;
		volatile char *page = mmap((void *)address, 4 * PAGE, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

		page[PAGE] = 1;		/* what the VMA itself needs to have pages of its own */
		if (page[0] || syscall(PF_NR_GET_INFO, name, strlen(name), &before))
			return 101;
		fail_from_now(1);
		page[0] = 1;
		left = fail_from_now(0);
		if (syscall(PF_NR_GET_INFO, name, strlen(name), &after))
			return 102;
		log_sync(&log);
		if (after.cow_page_faults != before.cow_page_faults + 1)
			unexpected("a fault without memory: the total went from %ld to %ld", before.cow_page_faults,
				   after.cow_page_faults);
		if (faults_in(&after, address) == 1 && log.lines == lines)
			continue;
		if (left || faults_in(&after, address) != 0 || log.lines != lines + 1)
			unexpected("a fault without memory: its VMA has %ld, %lu lines were logged, %d failures left",
				   faults_in(&after, address), log.lines - lines, left);
		missed++;
		if (page[2 * PAGE] == 0)
			page[2 * PAGE] = 1;	/* now there is memory again */
		if (syscall(PF_NR_GET_INFO, name, strlen(name), &after) || faults_in(&after, address) != 1)
			unexpected("the fault after one without memory is not counted in its VMA");
	}
	return missed;
}

/* Runs a tracked program whose faults need memory that is not there. Returns how many went into the total only. */
static int nth_faults(const char *prefix)
{
	char path[64];
	char *argv[] = { path, "nth-program", (char *)names[0], (char *)prefix, NULL };
	int status = 0;
	pid_t pid;

	snprintf(path, sizeof(path), "/tmp/%s", names[0]);
	set_param(names[0]);
	pid = fork();
	if (pid == 0) {
		execve(path, argv, environ);
		_exit(99);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) >= 99) {
		unexpected("the program whose faults fail ended with %#x", status);
		return 0;
	}
	return WEXITSTATUS(status);
}

#define NONE_FAILED 42

/* Executed with failures left or not: whether its exec has done with fewer allocations. */
static int program_left(void)
{
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	return fail_from_now(0) > 0 ? NONE_FAILED : 0;
}

/*
 * A tracked program (this one, by prctl) forks, and executes, while the n-th allocation fails. Whether that works
 * is the kernel's affair; it must not break. Returns the number of failures.
 */
static unsigned long nth_processes(int executes)
{
	char path[64];
	char *argv[] = { path, "left", NULL };
	unsigned long failed = 0;
	int n, left = 0, status;
	pid_t pid;

	snprintf(path, sizeof(path), "/tmp/%s", names[1]);
	set_param(names[1]);
	for (n = 1; !left && n < 400; n++) {
		pid = fork();
		if (pid == 0) {
			pid_t child = 0;

			prctl(PR_SET_NAME, names[1]);
			fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
			write_file("/proc/self/oom_score_adj", "1000");
			fail_from_now(n);
			if (executes)
				execve(path, argv, environ);
			else
				child = fork();
			if (child == 0 && !executes)
				_exit(0);
			left = fail_from_now(0);
			if (child > 0)
				waitpid(child, NULL, 0);
			_exit(left > 0 ? NONE_FAILED : 0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			break;
		failed++;
		left = WIFEXITED(status) && WEXITSTATUS(status) == NONE_FAILED;
	}
	return failed;
}

static int nth(const char *prefix)
{
	unsigned long calls, forks, execs;
	struct log log;
	int missed;

	unlink(FAILURES);
	if (open_state(1) || make_programs() || log_open(&log, prefix))
		return 2;
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_nth < 0 || write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "N") ||
	    write_file("/sys/kernel/debug/failslab/verbose", "0") ||
	    write_file("/sys/kernel/debug/fail_page_alloc/min-order", "32")) {
		perror("fault injection (CONFIG_FAILSLAB)");
		return 2;
	}
	syscall(PF_NR_CLEANUP);
	log_sync(&log);
	calls = nth_calls(&log);
	missed = nth_faults(prefix);
	log_sync(&log);
	forks = nth_processes(0);
	execs = nth_processes(1);
	cleanup();
	log_sync(&log);
	print_failures();
	printf("calls %lu\nfaults %d\nforks %lu\nexecs %lu\nothers %lu\nunexpected %lu\n", calls, missed, forks, execs,
	       log.others, state->unexpected);
	return state->unexpected ? 1 : 0;
}

/* --- race --------------------------------------------------------------------------------------------- */

#define RACE_AT 0x20000000UL
#define RACE_STEP 0x00800000UL	/* counters may be allocated for so much at once */
#define RACE_PLACES 32
#define RACE_WRITES 5
#define RACE_SECONDS 30		/* for one of two that meet to come: the other may have been killed */

static volatile char *race_region(void)
{
	void *at = mmap((void *)RACE_AT, RACE_PLACES * RACE_STEP, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static void on_cpu(int number)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(number % (int)sysconf(_SC_NPROCESSORS_ONLN), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Goes on when both have come here for the n-th time, at the same instant. */
static void meet(int n, double end)
{
	unsigned long spins;

	atomic_fetch_add(&state->met, 1);
	for (spins = 1; state->met < 2 * n; spins++) {
		if (spins % 4096 == 0 && now() > end)
			_exit(98);
		if (spins % 4096 == 0)
			sched_yield();
	}
}

static void expect_faults(const char *what, const char *name, long wanted)
{
	struct pf_stat stat;
	long counted;
	int i;

	if (syscall(PF_NR_GET_INFO, name, strlen(name), &stat)) {
		unexpected("%s: pf_get_info(%s): %s", what, name, strerror(errno));
		return;
	}
	counted = faults_in(&stat, RACE_AT);
	if (counted != wanted)
		unexpected("%s: %ld faults are counted, not %ld", what, counted, wanted);
	counted = 0;
	for (i = 0; i < stat.nb_vma; i++)
		counted += stat.vma_fault[i];
	/* Nothing has been unmapped since it was executed. */
	if (counted != stat.cow_page_faults)
		unexpected("%s: the VMAs have %ld faults, the total is %ld", what, counted, stat.cow_page_faults);
}

/* Executed under a tracked name: it and its child fault where nothing was counted before, both at once. */
static int program_meet(const char *name)
{
	volatile char *region = race_region();
	double end = now() + RACE_SECONDS;
	int i, status = 0;
	pid_t pid;

	if (!region || open_state(0))
		return 97;
	for (i = 0; i < RACE_PLACES; i++)
		region[(unsigned long)i * RACE_STEP] = region[(unsigned long)i * RACE_STEP + PAGE] = 1;
	pid = fork();
	if (pid < 0)
		return 97;
	on_cpu(pid == 0);
	for (i = 0; i < RACE_PLACES; i++) {
		meet(i + 1, end);
		region[(unsigned long)i * RACE_STEP + (pid ? 0 : PAGE)] = 2;
	}
	if (pid == 0)
		_exit(0);
	if (waitpid(pid, &status, 0) != pid || status)
		return 96;
	expect_faults("two processes that fault at once", name, 2 * RACE_PLACES);
	return 0;
}

/* Reads a page, which is the zero page then, and writes to it: one copy-on-write fault. */
static void copy_zero(volatile char *page)
{
	if (*page == 0)
		*page = 1;
}

/*
 * Executed under a tracked name, turn after turn: looks whether its own faults are all that count, and goes on to
 * fault until the next has looked. That one's exec comes meanwhile.
 */
static int program_relay(const char *name, int turn)
{
	volatile char *region = race_region();
	double end = now() + RACE_SECONDS;
	int i;

	if (!region || open_state(0))
		return 97;
	on_cpu(turn);
	for (i = 0; i < RACE_WRITES; i++)
		copy_zero(region + (unsigned long)i * RACE_STEP + PAGE);
	expect_faults("a run that begins while the one before faults", name, RACE_WRITES);
	state->turn = turn + 1;
	while (state->turn < turn + 2 && now() < end) {
		for (i = 0; i < RACE_PLACES; i++)
			copy_zero(region + (unsigned long)i * RACE_STEP);
		madvise((void *)region, RACE_PLACES * RACE_STEP, MADV_DONTNEED);
	}
	return 0;
}

/* Executed under a tracked name: faults all the time. */
static int program_fault(void)
{
	volatile char *region = race_region();
	int i;

	if (!region || open_state(0))
		return 97;
	while (!state->stop) {
		for (i = 0; i < RACE_PLACES; i++)
			copy_zero(region + (unsigned long)i * RACE_STEP);
		madvise((void *)region, RACE_PLACES * RACE_STEP, MADV_DONTNEED);
	}
	return 0;
}

/* Executed under a tracked name: splits and merges VMAs all the time. Each merge frees two at once. */
static int program_merge(void)
{
	volatile char *region = race_region();
	unsigned long i;

	if (!region || open_state(0))
		return 97;
	while (!state->stop) {
		for (i = 1; i < RACE_PLACES; i += 2)
			mprotect((char *)region + i * PAGE, PAGE, PROT_READ);
		for (i = 1; i < RACE_PLACES; i += 2)
			mprotect((char *)region + i * PAGE, PAGE, PROT_READ | PROT_WRITE);
	}
	return 0;
}

static pid_t start_racer(const char *what, int turn)
{
	char path[64], number[16];
	char *argv[] = { path, (char *)what, (char *)names[0], number, NULL };
	pid_t pid = fork();

	if (pid)
		return pid;
	snprintf(path, sizeof(path), "/tmp/%s", names[0]);
	snprintf(number, sizeof(number), "%d", turn);
	on_cpu(turn);
	execve(path, argv, environ);
	_exit(99);
}

static void wait_for_racer(const char *what, pid_t pid)
{
	int status = 0;

	if (pid > 0 && (waitpid(pid, &status, 0) != pid || status))
		unexpected("%s: it ended with %#x", what, status);
}

/* Each turn is started while the one before faults; it ends when the one after has looked at its counts. */
static int relay(double seconds)
{
	double start = now();
	pid_t pid, before = 0;
	int turn;

	for (turn = 0; now() < start + seconds && !state->unexpected; turn++) {
		double late = now() + RACE_SECONDS;

		pid = start_racer("relay", turn);
		while (state->turn <= turn && now() < late)
			usleep(200);
		wait_for_racer("relay", before);
		before = pid;
	}
	state->turn = turn + 2;
	wait_for_racer("relay", before);
	return turn;
}

/*
 * Freeing the counters takes a while, in which the other CPU's next fault comes to the lock; or its pf_cleanup, since
 * another process does the same.
 */
static int clean_up_under_faults(double seconds)
{
	double start = now();
	pid_t pid = start_racer("fault", 0), rival = fork();
	int round;

	on_cpu(rival != 0);
	while (rival == 0) {
		set_param(names[1]);
		usleep(300);
		cleanup();
		if (state->stop)
			_exit(0);
	}
	for (round = 0; now() < start + seconds && !state->unexpected; round++) {
		usleep(500 + (useconds_t)round % 8 * 500);
		cleanup();
		set_param(names[0]);
	}
	state->stop = 1;
	wait_for_racer("fault", pid);
	wait_for_racer("rival", rival);
	return round;
}

/* The list of VMAs is in order, whatever becomes of them meanwhile. */
static int list_while_merging(double seconds)
{
	double start = now();
	pid_t pid = start_racer("merge", 0);
	struct pf_stat stat;
	int round, i;

	on_cpu(1);
	for (round = 0; now() < start + seconds && !state->unexpected; round++) {
		if (syscall(PF_NR_GET_INFO, names[0], strlen(names[0]), &stat)) {
			unexpected("the list of one that merges: %s", strerror(errno));
			break;
		}
		for (i = 1; i < stat.nb_vma; i++)
			if (stat.vma_list_start[i] < stat.vma_list_end[i - 1])
				unexpected("the list of one that merges is not in order: %#lx follows %#lx",
					   stat.vma_list_start[i], stat.vma_list_end[i - 1]);
	}
	state->stop = 1;
	wait_for_racer("merge", pid);
	state->stop = 0;
	return round;
}

static int race_two(const char *prefix, double seconds)
{
	int meetings, relays, lists, cleanups;
	struct log log;
	double start;

	unlink(FAILURES);
	if (open_state(1) || make_programs() || log_open(&log, prefix))
		return 2;
	syscall(PF_NR_CLEANUP);
	log_sync(&log);
	set_param(names[0]);
	start = now();
	for (meetings = 0; now() < start + seconds / 4 && !state->unexpected; meetings++) {
		state->met = 0;
		wait_for_racer("meet", start_racer("meet", 0));
	}
	relays = relay(seconds / 4);
	lists = list_while_merging(seconds / 4);
	cleanups = clean_up_under_faults(seconds / 4);
	cleanup();
	log_sync(&log);
	print_failures();
	printf("meetings %d\nrelays %d\nlists %d\ncleanups %d\nothers %lu\nunexpected %lu\n", meetings, relays, lists,
	       cleanups, log.others, state->unexpected);
	return state->unexpected ? 1 : 0;
}

/* torture run PREFIX SEED SECONDS WORKERS PERCENT [OPERATIONS] */
static int run_of(int argc, char **argv)
{
	int workers = atoi(argv[5]);
	uint32_t count = argc == 8 ? (uint32_t)strtoul(argv[7], NULL, 10) : UINT32_MAX;

	if (workers < 1 || workers > WORKERS_MAX)
		return 2;
	return run(argv[2], (uint32_t)strtoul(argv[3], NULL, 10), atof(argv[4]), workers, atoi(argv[6]), count);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "program"))
		return program((uint32_t)strtoul(argv[2], NULL, 10));
	if (argc == 2 && !strcmp(argv[1], "left"))
		return program_left();
	if (argc == 4 && !strcmp(argv[1], "nth-program"))
		return program_nth(argv[2], argv[3]);
	if (argc == 3 && !strcmp(argv[1], "nth"))
		return nth(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "meet"))
		return program_meet(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "relay"))
		return program_relay(argv[2], atoi(argv[3]));
	if (argc == 4 && !strcmp(argv[1], "fault"))
		return program_fault();
	if (argc == 4 && !strcmp(argv[1], "merge"))
		return program_merge();
	if (argc == 4 && !strcmp(argv[1], "race"))
		return race_two(argv[2], atof(argv[3]));
	if ((argc == 7 || argc == 8) && !strcmp(argv[1], "run"))
		return run_of(argc, argv);
	fprintf(stderr, "usage: torture run PREFIX SEED SECONDS WORKERS PERCENT [OPERATIONS] | nth PREFIX | race PREFIX SECONDS\n");
	return 2;
}
