// SPDX-License-Identifier: GPL-2.0-only
/*
 * leak COUNT: makes COUNT successful and COUNT failing calls of each kind; the ways in which a call fails share these.
 *
 * Prints "KIND BYTES" for each: by how much the kernel's unreclaimable slab memory has grown for each call, after what
 * the calls have given back to RCU had time to go. If a call returns something else than it should, its kind is not
 * measured: "KIND returns RESULT".
 */
#include "nolibc.h"
#include "pf.h"

#define KERNEL_ADDRESS 0xc0100000UL
#define EFAULT 14
#define EINVAL 22
#define EACCES 13
#define WARM 500	/* calls before anything is measured */
#define NOISE 16	/* bytes a call: half the smallest allocation */
#define WAITS 60	/* times 100 ms: kfree_rcu() may take five seconds since 5.9 */
#define PIECE 2000	/* calls after which memory is looked at */
#define ENOUGH 32768	/* KiB that have not come back: there is no need of more calls, which would use up all memory */

static char name[] = "leak", unknown[] = "unknown", longest[256];
static struct pf_stat stat;

static long set(const char *text, unsigned long length)
{
	return sys2(PF_NR_SET_PARAM, text, length);
}

static long get(const char *text, unsigned long length, struct pf_stat *where)
{
	return sys3(PF_NR_GET_INFO, text, length, where);
}

static long cleanup(void)
{
	return sys0(PF_NR_CLEANUP);
}

static long track_and_clean_up(void)
{
	long ret = set(unknown, 7);

	return ret ? ret : cleanup();
}

static long track_again(void) { return set(name, 4); }
static long track_null(void) { return set((char *)0, 4); }
static long track_empty(void) { return set(name, 0); }
static long track_long(void) { return set(longest, sizeof(longest)); }
static long track_unreadable(void) { return set((char *)KERNEL_ADDRESS, 4); }
static long info(void) { return get(name, 4, &stat); }
static long info_null(void) { return get((char *)0, 4, &stat); }
static long info_empty(void) { return get(name, 0, &stat); }
static long info_long(void) { return get(longest, sizeof(longest), &stat); }
static long info_unreadable(void) { return get((char *)KERNEL_ADDRESS, 4, &stat); }
static long info_of_unknown(void) { return get(unknown, 7, &stat); }
static long info_nowhere(void) { return get(name, 4, (struct pf_stat *)0); }
static long info_unwritable(void) { return get(name, 4, (struct pf_stat *)KERNEL_ADDRESS); }

static const struct kind {
	const char *name;
	long (*call)(void);
	long wanted;	/* errno, or 0 */
	int tracked;	/* whether this program is tracked meanwhile */
	long share;	/* the part of COUNT that this kind gets is 1 / share */
} kinds[] = {
	{ "pf_set_param+pf_cleanup", track_and_clean_up, 0, 0, 1 },
	{ "pf_cleanup:EACCES", cleanup, EACCES, 0, 1 },
	{ "pf_get_info:EACCES", info, EACCES, 0, 9 },
	{ "pf_set_param", track_again, 0, 1, 1 },
	{ "pf_set_param:NULL", track_null, EINVAL, 1, 4 },
	{ "pf_set_param:empty", track_empty, EINVAL, 1, 4 },
	{ "pf_set_param:long", track_long, EINVAL, 1, 4 },
	{ "pf_set_param:EFAULT", track_unreadable, EFAULT, 1, 4 },
	{ "pf_get_info", info, 0, 1, 1 },
	{ "pf_get_info:NULL", info_null, EINVAL, 1, 9 },
	{ "pf_get_info:empty", info_empty, EINVAL, 1, 9 },
	{ "pf_get_info:long", info_long, EINVAL, 1, 9 },
	{ "pf_get_info:EFAULT", info_unreadable, EFAULT, 1, 9 },
	{ "pf_get_info:unknown", info_of_unknown, EINVAL, 1, 9 },
	{ "pf_get_info:nowhere", info_nowhere, EINVAL, 1, 9 },
	{ "pf_get_info:unwritable", info_unwritable, EFAULT, 1, 9 },
};

/* SUnreclaim of /proc/meminfo, in KiB */
static long slab(void)
{
	static char text[4096];
	static const char key[] = "SUnreclaim:";
	long value = 0, fd = sys3(NR_open, "/proc/meminfo", O_RDONLY, 0);
	long count = sys3(NR_read, fd, text, sizeof(text) - 1);
	unsigned long i;
	char *at;

	sys1(NR_close, fd);
	if (count < 0)
		die("leak: /proc/meminfo", count);
	text[count] = '\0';
	for (at = text; *at; at++) {
		for (i = 0; key[i] && at[i] == key[i]; i++)
			;
		if (!key[i])
			break;
	}
	for (at += sizeof(key) - 1; *at == ' '; at++)
		;
	for (; *at >= '0' && *at <= '9'; at++)
		value = value * 10 + (*at - '0');
	return value;
}

/* Returns whether each call has returned what it should. */
static int call(const struct kind *kind, long times)
{
	long ret;

	while (times--) {
		ret = kind->call();
		if (ret != -kind->wanted) {
			put(1, kind->name);
			put_result(" returns", ret);
			return 0;
		}
	}
	return 1;
}

/* By how many KiB slab memory has grown, when that is less than `most` or nothing more comes back. */
static long grown(long before, long most)
{
	static long pause[2] = { 0, 100000000 };
	long waits = WAITS, growth;

	while ((growth = slab() - before) >= most && waits--)
		sys2(NR_nanosleep, pause, 0);
	return growth;
}

static void measure(const struct kind *kind, long times)
{
	static long pause[2] = { 0, 100000000 };
	long before, growth, done = 0, piece;

	if (!call(kind, WARM))
		return;
	sys2(NR_nanosleep, pause, 0);
	before = slab();
	do {
		piece = times - done < PIECE ? times - done : PIECE;
		if (!call(kind, piece))
			return;
		done += piece;
		growth = grown(before, ENOUGH);
	} while (done < times && growth < ENOUGH);
	if (growth < ENOUGH)
		growth = grown(before, done * NOISE / 1024);
	put_result(kind->name, growth * 1024 / done);
}

int main(int argc, char **argv)
{
	long count = argc == 2 ? number_of(argv[1]) : -1;
	unsigned long i;

	if (count < 1)
		die("usage: leak COUNT", EINVAL);
	memset(longest, 'n', sizeof(longest));
	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (kinds[i].tracked)
			set(name, 4);
		measure(kinds + i, count / kinds[i].share);
		cleanup();
	}
	return 0;
}
