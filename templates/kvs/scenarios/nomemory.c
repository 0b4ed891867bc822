// SPDX-License-Identifier: GPL-2.0-only
/* Each allocation of a call fails once. */
#include "nolibc.h"
#include "ktap.h"
#include "kvs.h"
#include "fail_nth.h"

#define FAILSLAB "/sys/kernel/debug/failslab/"
#define MOST 50	/* allocations of one call */

static char key[40], old[100], new[100];

static void setting(const char *path, const char *value)
{
	long fd = sys3(NR_open, path, O_RDWR, 0);

	if (is_error(fd))
		SKIP("the kernel has no CONFIG_FAILSLAB with debugfs");
	sys3(NR_write, fd, value, 1);
	sys1(NR_close, fd);
}

/* Lets fail-nth apply to allocations that may wait, without a trace of each. */
static void set_up(void)
{
	need_basics();
	setting(FAILSLAB "ignore-gfp-wait", "N");
	setting(FAILSLAB "verbose", "0");
	fill(key, sizeof(key), 1);
	fill(old, sizeof(old), 2);
	fill(new, sizeof(new), 3);
	NEED_WORD("other", "untouched");
}

/* Makes the call with its nth allocation failing; returns whether it makes so many. */
static int failing(long (*call)(void), long nth, long *ret)
{
	char left[12] = "";

	fail_nth(nth);
	*ret = call();
	/* The file has what is left to be counted: nothing if the allocation came. */
	sys3(NR_read, fail_nth_fd, left, sizeof(left));
	fail_nth(0);
	sys1(NR_close, fail_nth_fd);
	fail_nth_fd = -1;
	if (left[0] == '0' && *ret < 0)
		EXPECT_RET(*ret, -1, "L1", "it fails where allocation %d does", (int)nth);
	return left[0] == '0';
}

static long insert_old(void) { return kvs_insert(key, sizeof(key), old, sizeof(old)); }
static long insert_new(void) { return kvs_insert(key, sizeof(key), new, sizeof(new)); }
static long search(void) { return kvs_search(key, sizeof(key), kvs_buffer, sizeof(kvs_buffer)); }
static long remove(void) { return kvs_delete(key, sizeof(key)); }
static int has(const char *val) { return kvs_is(key, sizeof(key), val, sizeof(old), sizeof(old) + 1); }
static int has_none(void) { return kvs_none(key, sizeof(key)); }

/* A call for which an allocation fails may find the memory elsewhere: then it has done all of what it is to do. */

SCENARIO(insert_without_memory, "3.6-2",
	  "kvs_insert of a new key for which an allocation fails is -1, and keeps nothing")
{
	long nth, ret;

	set_up();
	for (nth = 1; nth < MOST && failing(insert_old, nth, &ret); nth++) {
		EXPECT(ret < 0 ? has_none() : has(old), "3.6-2", "allocation %d fails: all of it or nothing", (int)nth);
		remove();
	}
	EXPECT(nth > 1 && nth < MOST, "3.6-2", "it makes a few allocations");
	EXPECT(has(old), "3.6-2", "with all of them it keeps the value");
	EXPECT_WORD("other", "untouched", "3.6-2", "another entry");
}

SCENARIO(replace_without_memory, "L6", "A new value for which an allocation fails leaves the old one or none")
{
	long nth, ret;

	set_up();
	NEED(kvs_done(insert_old()), "3.1-2", "kvs_insert of the old value");
	for (nth = 1; nth < MOST && failing(insert_new, nth, &ret); nth++) {
		EXPECT(ret < 0 ? has_none() || has(old) : has(new), "L6", "allocation %d fails: the entry", (int)nth);
		NEED(kvs_done(insert_old()), "3.1-2", "kvs_insert of the old value");
	}
	EXPECT(nth < MOST, "L6", "it makes a few allocations");
	EXPECT(has(new), "L6", "with all of them it replaces the value");
	EXPECT_WORD("other", "untouched", "L6", "another entry");
}

SCENARIO(search_without_memory, "3.6-2", "kvs_search for which an allocation fails is -1, and the entry stays")
{
	long nth, ret;

	set_up();
	NEED(kvs_done(insert_old()), "3.1-2", "kvs_insert");
	for (nth = 1; nth < MOST && failing(search, nth, &ret); nth++)
		EXPECT(ret < 0 || ktap_same_bytes(kvs_buffer, old, sizeof(old)), "3.6-2",
		       "allocation %d fails: it fails or finds the value", (int)nth);
	EXPECT(nth < MOST, "3.6-2", "it makes a few allocations");
	EXPECT(has(old), "3.6-2", "the entry is still there");
}

SCENARIO(delete_without_memory, "3.6-2", "kvs_delete for which an allocation fails is -1, and the entry stays")
{
	long nth, ret;

	set_up();
	NEED(kvs_done(insert_old()), "3.1-2", "kvs_insert");
	for (nth = 1; nth < MOST && failing(remove, nth, &ret); nth++) {
		EXPECT(ret < 0 ? has(old) : has_none(), "3.6-2", "allocation %d fails: all of it or nothing", (int)nth);
		NEED(kvs_done(insert_old()), "3.1-2", "kvs_insert");
	}
	EXPECT(nth < MOST, "3.6-2", "it makes a few allocations");
	EXPECT(has_none(), "3.6-2", "with all of them it removes the entry");
}
