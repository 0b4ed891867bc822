// SPDX-License-Identifier: GPL-2.0-only
/*
 * play WORD...: does what its arguments say, to memory that nothing else of it touches.
 *
 * A word is an operation, its fields separated by commas. P is a page of the arena, 1,024 pages from 0x20000000 on
 * where at first nothing is mapped; N and M are numbers of pages. Mappings are MAP_FIXED.
 *
 *	map,P,N,PROT,KIND	PROT: rw, r, none. KIND: anon; shared (anonymous); file (private) and sharedfile,
 *				of /root/pages, the arena's page P being the file's page P
 *	file,N			make /root/pages with N pages, none zero, unless it is there
 *	ring,P			map the ring of a new io_setup(), one shared page whose first write the kernel notices
 *				(a page of a file on disk is like that, one in memory is not); it cannot be moved by a child
 *	stripes,P,N		map N single anonymous pages, by turns rw and r: N VMAs
 *	unmap,P,N   protect,P,N,PROT
 *	move,P,N,Q		mremap() to page Q; prints "move ok", or "move -ERRNO"
 *	shrink,P,N,M		mremap() to M pages in place; grow,P,N,M: the same, to more
 *	brk,N			the heap is N pages, from its page-aligned start on
 *	write,P,N   read,P,N	one byte in each page
 *	hwrite,P,N   hread,P,N	the same in pages of the heap
 *	stack,N			write to the next N pages of the stack, which so grows to there
 *	kwrite,P,N		let the kernel write a byte in each page: read() from /dev/zero
 *	crash,P			write to page P and die of SIGSEGV
 *	race,P,N,T		T threads write the pages, all at once
 *	fork WORD... end	in a child, waited for; it may die of SIGSEGV
 *	start WORD... end	in a child in the background
 *	orphan WORD... end	in a process in the background whose parent has exited
 *	thread WORD... end	in a thread, waited for
 *	tstart WORD... end	in a thread in the background
 *	join			wait for all of this process's that is in the background
 *	run,PATH WORD... end	fork and execute PATH with these arguments, wait; vrun,PATH: the same with vfork
 *	exec,PATH WORD...	execute PATH with the words up to the end of the block as its arguments
 *	cloexec,N		open N descriptors more, which exec has to close first: that takes it a while
 *	name,TEXT		prctl(PR_SET_NAME)
 *	maps			print /proc/self/maps between the lines "maps" and "endmaps"
 *	set,NAME   cleanup   info,NAME	the calls under test; print "ret N", and the result as pfcall does
 *	touch,FILE   await,FILE   sleep,MS
 *	nth,N			this thread's N-th allocation from now on fails; nth,0 ends that (fail_nth.h)
 *	exit			end with 0, at once
 *
 * A system call that fails where nothing says it may ends the process with status 1. All variables are in .data or
 * on the first stack, so that the heap shares no VMA with them (a .bss would lie in the heap's).
 */
#include "nolibc.h"
#include "pf.h"

#include "fail_nth.h"

#define DATA __attribute__((section(".data")))
#define ARENA 0x20000000UL
#define PAGES_FILE "/root/pages"
#define FIELDS 6
#define WORD_MAX 320
#define JOBS 64
#define THREADS 32
#define THREAD_STACK 8192
#define STACK_ROOM (8 * PAGE_SIZE)

#define O_WRONLY_CREAT (1 | O_CREAT)
#define MREMAP_MAYMOVE 1
#define MREMAP_FIXED 2
#define PR_SET_NAME 15
#define F_DUPFD_CLOEXEC 1030
#define FUTEX_WAIT 0
#define SIGSEGV 11
#define CLONE_VM 0x100
#define CLONE_FS 0x200
#define CLONE_FILES 0x400
#define CLONE_SIGHAND 0x800
#define CLONE_THREAD 0x10000
#define CLONE_PARENT_SETTID 0x100000
#define CLONE_CHILD_CLEARTID 0x200000

/* One operation: its fields (field[0] names it), and the words of its block. */
struct step {
	char text[WORD_MAX];
	char *field[FIELDS];
	int fields;
	char **from, **to;
};

/* What a thread does. */
struct work {
	char **from, **to;	/* a block's words, or none: */
	unsigned long page, pages;	/* a race's pages, */
	int *waiting;			/* and how many of its threads have yet to come */
};

/* `tid` is cleared by the kernel when the thread is off its stack. */
struct thread {
	int taken, background;
	volatile int tid;
	struct work work;
};

DATA static struct thread threads[THREADS];
DATA static char (*stacks)[THREAD_STACK];
DATA static char **environment;
DATA static unsigned long heap;
DATA static long jobs[JOBS];
DATA static int job_count;

static void run(char **from, char **to);

static long number(const struct step *step, int field)
{
	long value = field < step->fields ? number_of(step->field[field]) : -1;

	if (value < 0)
		die(step->text, 22);
	return value;
}

static const char *text(const struct step *step, int field)
{
	if (field >= step->fields)
		die(step->text, 22);
	return step->field[field];
}

static long must(const struct step *step, long result)
{
	if (is_error(result))
		die(step->text, result);
	return result;
}

static unsigned long bytes(const struct step *step, int field)
{
	return (unsigned long)number(step, field) * PAGE_SIZE;
}

static unsigned long address(const struct step *step, int field)
{
	return ARENA + bytes(step, field);
}

/* --- memory -------------------------------------------------------------------------------------------- */

static int prot_of(const struct step *step, int field)
{
	const char *word = text(step, field);

	if (same(word, "rw"))
		return PROT_READ | PROT_WRITE;
	if (same(word, "r"))
		return PROT_READ;
	if (!same(word, "none"))
		die(step->text, 22);
	return PROT_NONE;
}

static void do_map(const struct step *step)
{
	const char *kind = text(step, 4);
	int shared = same(kind, "shared") || same(kind, "sharedfile");
	int file = same(kind, "file") || same(kind, "sharedfile");
	int flags = MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE) | (file ? 0 : MAP_ANONYMOUS);
	long fd = -1;

	if (!shared && !file && !same(kind, "anon"))
		die(step->text, 22);
	if (file)
		fd = must(step, sys3(NR_open, PAGES_FILE, O_RDWR, 0));
	must(step, sys_mmap_at(address(step, 1), bytes(step, 2), prot_of(step, 3), flags, (int)fd,
			       file ? bytes(step, 1) : 0));
	if (file)
		sys1(NR_close, fd);
}

static void do_file(const struct step *step)
{
	long i, fd, pages = number(step, 1);
	char page[PAGE_SIZE];

	if (sys2(NR_access, PAGES_FILE, 0) == 0)
		return;
	memset(page, 'x', sizeof(page));
	fd = must(step, sys3(NR_open, PAGES_FILE, O_WRONLY_CREAT, 0600));
	for (i = 0; i < pages; i++)
		must(step, sys3(NR_write, fd, page, sizeof(page)));
	sys1(NR_close, fd);
}

static void do_ring(const struct step *step)
{
	unsigned long ring = 0;

	must(step, sys2(NR_io_setup, 1, &ring));
	must(step, sys5(NR_mremap, (long)ring, PAGE_SIZE, PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
			(long)address(step, 1)));
}

static void do_stripes(const struct step *step)
{
	long i;

	for (i = 0; i < number(step, 2); i++)
		must(step, sys_mmap(address(step, 1) + (unsigned long)i * PAGE_SIZE, PAGE_SIZE,
				    i % 2 ? PROT_READ : PROT_READ | PROT_WRITE,
				    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1));
}

static void do_unmap(const struct step *step)
{
	must(step, sys2(NR_munmap, address(step, 1), bytes(step, 2)));
}

static void do_protect(const struct step *step)
{
	must(step, sys3(NR_mprotect, address(step, 1), bytes(step, 2), prot_of(step, 3)));
}

static void do_move(const struct step *step)
{
	long result = sys5(NR_mremap, (long)address(step, 1), (long)bytes(step, 2), (long)bytes(step, 2),
			   MREMAP_MAYMOVE | MREMAP_FIXED, (long)address(step, 3));

	if (is_error(result))
		put_result("move", result);
	else
		put(1, "move ok\n");
}

static void do_shrink(const struct step *step)
{
	must(step, sys5(NR_mremap, (long)address(step, 1), (long)bytes(step, 2), (long)bytes(step, 3), 0, 0));
}

static void do_brk(const struct step *step)
{
	unsigned long end = heap + bytes(step, 1);

	if ((unsigned long)sys1(NR_brk, end) != end)
		die(step->text, 12);
}

static void write_pages(unsigned long start, long pages)
{
	long i;

	for (i = 0; i < pages; i++)
		*(volatile char *)(start + (unsigned long)i * PAGE_SIZE) = 1;
}

static void read_pages(unsigned long start, long pages)
{
	long i;

	for (i = 0; i < pages; i++)
		(void)*(volatile char *)(start + (unsigned long)i * PAGE_SIZE);
}

static void do_write(const struct step *step)
{
	write_pages(address(step, 1), number(step, 2));
}

static void do_read(const struct step *step)
{
	read_pages(address(step, 1), number(step, 2));
}

static void do_hwrite(const struct step *step)
{
	write_pages(heap + bytes(step, 1), number(step, 2));
}

static void do_hread(const struct step *step)
{
	read_pages(heap + bytes(step, 1), number(step, 2));
}

static void __attribute__((noinline)) do_stack(const struct step *step)
{
	unsigned long length = bytes(step, 1);
	volatile char *deep = __builtin_alloca(length);

	while (length >= PAGE_SIZE)
		deep[length -= PAGE_SIZE] = 1;
}

static void do_kwrite(const struct step *step)
{
	long i, fd = must(step, sys3(NR_open, "/dev/zero", O_RDONLY, 0));

	for (i = 0; i < number(step, 2); i++)
		must(step, sys3(NR_read, fd, address(step, 1) + (unsigned long)i * PAGE_SIZE, 1));
	sys1(NR_close, fd);
}

static void do_crash(const struct step *step)
{
	write_pages(address(step, 1), 1);
	put(2, "no SIGSEGV at ");
	die(step->text, 0);
}

/* --- threads ------------------------------------------------------------------------------------------- */

/* The thread whose stack this is called on, THREADS on the first stack. */
static int own_thread(void)
{
	char here;
	int i;

	for (i = 0; i < THREADS; i++)
		if ((unsigned long)&here - (unsigned long)stacks[i] < THREAD_STACK)
			break;
	return i;
}

static void __attribute__((noreturn, used)) thread_main(struct thread *thread)
{
	struct work *work = &thread->work;

	if (work->from) {
		run(work->from, work->to);
	} else {
		__sync_sub_and_fetch(work->waiting, 1);
		while (*(volatile int *)work->waiting)
			sys0(NR_sched_yield);
		write_pages(work->page, (long)work->pages);
	}
	for (;;)
		sys1(NR_exit, 0);
}

static struct thread *start_thread(const struct step *step, const struct work *work, int background)
{
	struct thread *thread = threads;
	long *top, result = NR_clone;

	while (thread < threads + THREADS && !__sync_bool_compare_and_swap(&thread->taken, 0, 1))
		thread++;
	if (thread == threads + THREADS)
		die(step->text, 11);
	thread->work = *work;
	thread->background = background;
	top = (long *)(stacks[thread - threads] + THREAD_STACK - 32);
	top[0] = (long)thread;
	/* Registers as the i386 clone() takes them; the child calls thread_main() on its own stack. */
	asm volatile("int $0x80\n"
		     "	test %%eax, %%eax\n"
		     "	jnz 1f\n"
		     "	xor %%ebp, %%ebp\n"
		     "	call thread_main\n"
		     "1:"
		     : "+a"(result)
		     : "b"(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_PARENT_SETTID |
			   CLONE_CHILD_CLEARTID),
		       "c"(top), "d"(&thread->tid), "S"(0), "D"(&thread->tid)
		     : "memory");
	must(step, result);
	return thread;
}

static void wait_for_thread(struct thread *thread)
{
	int tid;

	while ((tid = thread->tid) != 0)
		sys5(NR_futex, (long)&thread->tid, FUTEX_WAIT, tid, 0, 0);
	__sync_lock_release(&thread->taken);
}

static void do_thread(const struct step *step)
{
	struct work work = { step->from, step->to, 0, 0, (int *)0 };

	wait_for_thread(start_thread(step, &work, 0));
}

static void do_tstart(const struct step *step)
{
	struct work work = { step->from, step->to, 0, 0, (int *)0 };

	start_thread(step, &work, 1);
}

static void do_race(const struct step *step)
{
	struct thread *started[THREADS];
	int i, waiting = (int)number(step, 3), count = waiting;
	struct work work = { (char **)0, (char **)0, address(step, 1), (unsigned long)number(step, 2), &waiting };

	if (count > THREADS)
		die(step->text, 22);
	for (i = 0; i < count; i++)
		started[i] = start_thread(step, &work, 0);
	for (i = 0; i < count; i++)
		wait_for_thread(started[i]);
}

/* --- processes ----------------------------------------------------------------------------------------- */

/* fork(); the child has neither its parent's children nor its other threads. */
static long fork_process(const struct step *step)
{
	long pid = must(step, sys0(NR_fork));
	int i, own;

	if (pid)
		return pid;
	own = own_thread();
	for (i = 0; i < THREADS; i++)
		if (i != own)
			threads[i].taken = 0;
	job_count = 0;
	return 0;
}

static void wait_for(const struct step *step, long pid)
{
	int status = 0;
	long result = sys3(NR_waitpid, pid, &status, 0);

	if (result != pid)
		die(step->text, result);
	if (status && (status & 0x7f) != SIGSEGV) {
		put(2, "the child's status of ");
		die(step->text, status);
	}
}

static void do_fork(const struct step *step)
{
	long pid = fork_process(step);

	if (pid == 0) {
		run(step->from, step->to);
		leave(0);
	}
	wait_for(step, pid);
}

static void do_start(const struct step *step)
{
	long pid = fork_process(step);
	int job;

	if (pid == 0) {
		run(step->from, step->to);
		leave(0);
	}
	job = __sync_fetch_and_add(&job_count, 1);
	if (job >= JOBS)
		die(step->text, 11);
	jobs[job] = pid;
}

static void do_join(const struct step *step)
{
	int i, own = own_thread();

	while (job_count)
		wait_for(step, jobs[--job_count]);
	for (i = 0; i < THREADS; i++)
		if (i != own && threads[i].taken && threads[i].background)
			wait_for_thread(threads + i);
}

static void do_orphan(const struct step *step)
{
	long parent, pid = fork_process(step);

	if (pid) {
		wait_for(step, pid);
		return;
	}
	parent = sys0(NR_getpid);
	if (fork_process(step))
		leave(0);
	while (sys0(NR_getppid) == parent)
		sys0(NR_sched_yield);
	run(step->from, step->to);
	leave(0);
}

static char *base_name(char *path)
{
	char *base = path;

	for (; *path; path++)
		if (*path == '/')
			base = path + 1;
	return base;
}

/* The word before the arguments makes place for argv[0], the one behind them for the NULL. */
static void execute(const struct step *step)
{
	step->from[-1] = base_name(step->field[1]);
	*step->to = (char *)0;
	must(step, sys3(NR_execve, text(step, 1), step->from - 1, environment));
}

static void do_exec(const struct step *step)
{
	execute(step);
}

static void do_run(const struct step *step)
{
	long pid = fork_process(step);

	if (pid == 0)
		execute(step);
	wait_for(step, pid);
}

static void do_vrun(const struct step *step)
{
	char *before = step->from[-1], *behind = *step->to;
	const char *path = text(step, 1);
	char **argv = step->from - 1, **env = environment;
	long pid;

	argv[0] = base_name(step->field[1]);
	*step->to = (char *)0;
	/* The child has this very stack: it calls nothing and leaves at once. */
	pid = sys0(NR_vfork);
	if (pid == 0) {
		sys3(NR_execve, path, argv, env);
		for (;;)
			sys1(NR_exit, 1);
	}
	argv[0] = before;
	*step->to = behind;
	wait_for(step, must(step, pid));
}

static void do_cloexec(const struct step *step)
{
	long i, fd = must(step, sys3(NR_open, "/proc/self/exe", O_RDONLY | O_CLOEXEC, 0));

	for (i = 1; i < number(step, 1); i++)
		must(step, sys3(NR_fcntl, fd, F_DUPFD_CLOEXEC, fd));
}

static void do_name(const struct step *step)
{
	must(step, sys2(NR_prctl, PR_SET_NAME, text(step, 1)));
}

static void do_exit(const struct step *step)
{
	(void)step;
	leave(0);
}

/* --- what can be seen ---------------------------------------------------------------------------------- */

static void do_maps(const struct step *step)
{
	(void)step;
	put(1, "maps\n");
	put_file(1, "/proc/self/maps");
	put(1, "endmaps\n");
}

static void do_set(const struct step *step)
{
	const char *name = text(step, 1);

	put_result("ret", sys2(PF_NR_SET_PARAM, name, length_of(name)));
}

static void do_cleanup(const struct step *step)
{
	(void)step;
	put_result("ret", sys0(PF_NR_CLEANUP));
}

static void do_info(const struct step *step)
{
	const char *name = text(step, 1);
	struct pf_stat stat;
	long ret = sys3(PF_NR_GET_INFO, name, length_of(name), &stat);

	put_result("ret", ret);
	if (ret == 0)
		put_stat(&stat);
}

static void do_touch(const struct step *step)
{
	sys1(NR_close, must(step, sys3(NR_open, text(step, 1), O_WRONLY_CREAT, 0600)));
}

static void sleep_ms(long ms)
{
	long time[2] = { ms / 1000, ms % 1000 * 1000000 };

	sys2(NR_nanosleep, time, 0);
}

static void do_sleep(const struct step *step)
{
	sleep_ms(number(step, 1));
}

static void do_await(const struct step *step)
{
	while (sys2(NR_access, text(step, 1), 0) != 0)
		sleep_ms(1);
}

static void do_nth(const struct step *step)
{
	long nth = number(step, 1);

	if (nth)
		fail_nth(nth);
	else
		fail_nth_done(1);
}

/* --- the interpreter ----------------------------------------------------------------------------------- */

enum shape { PLAIN, BLOCK, REST };

static const struct operation {
	const char *name;
	void (*run)(const struct step *step);
	enum shape shape;	/* whether a block follows it, or the rest of this block is its own */
} operations[] = {
	{ "map", do_map, PLAIN },	{ "file", do_file, PLAIN },	{ "stripes", do_stripes, PLAIN },
	{ "unmap", do_unmap, PLAIN },	{ "protect", do_protect, PLAIN }, { "move", do_move, PLAIN },
	{ "shrink", do_shrink, PLAIN }, { "brk", do_brk, PLAIN },	{ "write", do_write, PLAIN },
	{ "read", do_read, PLAIN },	{ "hwrite", do_hwrite, PLAIN }, { "hread", do_hread, PLAIN },
	{ "kwrite", do_kwrite, PLAIN }, { "crash", do_crash, PLAIN },	{ "race", do_race, PLAIN },
	{ "join", do_join, PLAIN },	{ "name", do_name, PLAIN },	{ "maps", do_maps, PLAIN },
	{ "set", do_set, PLAIN },	{ "cleanup", do_cleanup, PLAIN }, { "info", do_info, PLAIN },
	{ "touch", do_touch, PLAIN },	{ "await", do_await, PLAIN },	{ "sleep", do_sleep, PLAIN },
	{ "nth", do_nth, PLAIN },	{ "ring", do_ring, PLAIN },	{ "exit", do_exit, PLAIN },
	{ "cloexec", do_cloexec, PLAIN }, { "grow", do_shrink, PLAIN },	{ "stack", do_stack, PLAIN },
	{ "exec", do_exec, REST },	{ "fork", do_fork, BLOCK },	{ "start", do_start, BLOCK },
	{ "orphan", do_orphan, BLOCK }, { "thread", do_thread, BLOCK }, { "tstart", do_tstart, BLOCK },
	{ "run", do_run, BLOCK },	{ "vrun", do_vrun, BLOCK },
};

/* Splits a word at its commas. */
static void split(struct step *step, const char *word)
{
	unsigned long i, length = length_of(word);

	if (length >= WORD_MAX)
		die(word, 7);
	memcpy(step->text, word, length + 1);
	step->field[0] = step->text;
	step->fields = 1;
	for (i = 0; i < length; i++) {
		if (step->text[i] != ',' || step->fields == FIELDS)
			continue;
		step->text[i] = '\0';
		step->field[step->fields++] = step->text + i + 1;
	}
}

static const struct operation *find(const char *word)
{
	struct step step;
	unsigned long i;

	split(&step, word);
	for (i = 0; i < sizeof(operations) / sizeof(*operations); i++)
		if (same(operations[i].name, step.text))
			return operations + i;
	return (const struct operation *)0;
}

/* The word that ends a block. */
static char **block_end(char **word, char **to)
{
	const struct operation *operation;
	int depth = 1;

	for (; word < to; word++) {
		operation = find(*word);
		if (operation && operation->shape == BLOCK)
			depth++;
		else if (same(*word, "end") && --depth == 0)
			return word;
	}
	die("no end", 22);
}

static void run(char **from, char **to)
{
	const struct operation *operation;
	struct step step;

	while (from < to) {
		operation = find(*from);
		if (!operation)
			die(*from, 22);
		split(&step, *from++);
		step.from = from;
		step.to = operation->shape == BLOCK ? block_end(from, to) : to;
		if (operation->shape == BLOCK)
			from = step.to + 1;
		operation->run(&step);
	}
}

/* The stack's VMA grows now, as deep as anything here will go, or not at all. */
static void __attribute__((noinline)) grow_stack(void)
{
	char deep[STACK_ROOM];

	*(volatile char *)deep = 0;
}

int main(int argc, char **argv)
{
	char places[THREADS][THREAD_STACK] __attribute__((aligned(16)));

	grow_stack();
	stacks = places;
	environment = argv + argc + 1;
	heap = ((unsigned long)sys1(NR_brk, 0) + PAGE_SIZE - 1) & -PAGE_SIZE;
	run(argv + 1, argv + argc);
	return 0;
}
