// SPDX-License-Identifier: GPL-2.0-only
/* Calls that keep nothing must leave nothing behind, whether they succeed or fail. */
#include "nolibc.h"
#include "ktap.h"
#include "kvs.h"

#define CALLS 20000L
#define WARM 500	/* before anything is measured */
#define KERNEL_ADDRESS ((char *)0xc0100000UL)

static char key[40], other[40], bytes[100];

static long insert_bad_key(void) { return kvs_insert(KERNEL_ADDRESS, 40, bytes, 100); }
static long insert_bad_value(void) { return kvs_insert(other, 40, KERNEL_ADDRESS, 100); }
static long insert_no_value(void) { return kvs_insert(other, 40, (char *)0, 100); }
static long insert_empty_key(void) { return kvs_insert(other, 0, bytes, 100); }
static long insert_long_value(void) { return kvs_insert(other, 40, bytes, KVS_LONGEST + 1); }
static long replace_by_bad_value(void) { return kvs_insert(key, 40, KERNEL_ADDRESS, 100); }
static long search(void) { return kvs_search(key, 40, kvs_buffer, 200); }
static long search_missing(void) { return kvs_search(other, 40, kvs_buffer, 200); }
static long search_bad_key(void) { return kvs_search(KERNEL_ADDRESS, 40, kvs_buffer, 200); }
static long search_bad_buffer(void) { return kvs_search(key, 40, KERNEL_ADDRESS, 200); }
static long search_small_buffer(void) { return kvs_search(key, 40, kvs_buffer, 10); }
static long delete_missing(void) { return kvs_delete(other, 40); }
static long delete_bad_key(void) { return kvs_delete(KERNEL_ADDRESS, 40); }
static long delete_empty_key(void) { return kvs_delete(key, 0); }

/* Whether the kernel's memory is as large after many calls as before: half of the least that each could leave. */
static int clean(long (*call)(void))
{
	long i, before;

	for (i = 0; i < WARM; i++)
		call();
	before = meminfo("SUnreclaim:");
	for (i = 0; i < CALLS; i++)
		call();
	return grown("SUnreclaim:", before, CALLS * 16 / 1024) <= CALLS * 16 / 1024;
}

static void set_up(void)
{
	need_basics();
	fill(key, sizeof(key), 1);
	fill(other, sizeof(other), 2);
	fill(bytes, sizeof(bytes), 3);
	NEED_INSERT(key, sizeof(key), bytes, sizeof(bytes));
}

SCENARIO(insert_leaks_nothing, "3.6-2", "20,000 calls of kvs_insert that fail leave the memory as it was")
{
	set_up();
	EXPECT(clean(insert_bad_key), "3.6-2", "a key that cannot be read");
	EXPECT(clean(insert_bad_value), "3.6-2", "a value that cannot be read");
	EXPECT(clean(insert_no_value), "3.6-2", "a value at NULL");
	EXPECT(clean(replace_by_bad_value), "3.6-2", "a new value that cannot be read");
	EXPECT(clean(insert_empty_key), "3.6-2", "a key of no bytes");
	EXPECT(clean(insert_long_value), "3.6-2", "a value that is too long");
}

SCENARIO(search_leaks_nothing, "4-1 3.6-2", "20,000 calls of kvs_search leave the memory as it was")
{
	set_up();
	EXPECT(clean(search), "4-1", "a key that is there");
	EXPECT(clean(search_missing), "4-1", "a key that is not there");
	EXPECT(clean(search_bad_key), "3.6-2", "a key that cannot be read");
	EXPECT(clean(search_bad_buffer), "3.6-2", "a buffer that cannot be written");
	EXPECT(clean(search_small_buffer), "3.6-2", "a buffer that is too small");
}

SCENARIO(delete_leaks_nothing, "4-1 3.6-2", "20,000 calls of kvs_delete that remove nothing leave the memory as it was")
{
	set_up();
	EXPECT(clean(delete_missing), "4-1", "a key that is not there");
	EXPECT(clean(delete_bad_key), "3.6-2", "a key that cannot be read");
	EXPECT(clean(delete_empty_key), "3.6-2", "a key of no bytes");
}
