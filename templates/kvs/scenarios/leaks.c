// SPDX-License-Identifier: GPL-2.0-only
/* Calls that keep nothing must leave nothing behind, whether they succeed or fail. */
#include "nolibc.h"
#include "ktap.h"
#include "kvs.h"

#define CALLS 20000
#define WARM 500	/* before anything is measured */
#define NOISE 16	/* bytes a call: half the smallest that i386 allocates with an overhead */
#define WAITS 20	/* times 100 ms, for memory that the kernel frees late */

static char key[40], other[40], bytes[100];

static long insert_and_delete(void) { return kvs_insert(other, 40, bytes, 100) | kvs_delete(other, 40); }
static long insert_again(void) { return kvs_insert(key, 40, bytes, 100); }
static long insert_bad_key(void) { return kvs_insert((char *)KERNEL_ADDRESS, 40, bytes, 100); }
static long insert_bad_value(void) { return kvs_insert(other, 40, (char *)KERNEL_ADDRESS, 100); }
static long insert_no_value(void) { return kvs_insert(other, 40, (char *)0, 100); }
static long insert_empty_key(void) { return kvs_insert(other, 0, bytes, 100); }
static long insert_long_value(void) { return kvs_insert(other, 40, bytes, KVS_LONGEST + 1); }
static long replace_by_bad_value(void) { return kvs_insert(key, 40, (char *)KERNEL_ADDRESS, 100); }
static long search(void) { return kvs_search(key, 40, kvs_buffer, 200); }
static long search_missing(void) { return kvs_search(other, 40, kvs_buffer, 200); }
static long search_bad_key(void) { return kvs_search((char *)KERNEL_ADDRESS, 40, kvs_buffer, 200); }
static long search_bad_buffer(void) { return kvs_search(key, 40, (char *)KERNEL_ADDRESS, 200); }
static long search_small_buffer(void) { return kvs_search(key, 40, kvs_buffer, 10); }
static long delete_missing(void) { return kvs_delete(other, 40); }
static long delete_bad_key(void) { return kvs_delete((char *)KERNEL_ADDRESS, 40); }
static long delete_empty_key(void) { return kvs_delete(key, 0); }

/* By how many bytes the kernel's unreclaimable memory grows with each call. */
static long leaked(long (*call)(void))
{
	long before, grown, waits = WAITS;
	unsigned int i;

	for (i = 0; i < WARM; i++)
		call();
	before = meminfo("SUnreclaim:");
	for (i = 0; i < CALLS; i++)
		call();
	while ((grown = (meminfo("SUnreclaim:") - before) * 1024 / CALLS) >= NOISE && waits--)
		pause_ms(100);
	if (grown >= NOISE)
		NOTE("%d bytes a call", (int)grown);
	return grown;
}

static void set_up(void)
{
	fill(key, sizeof(key), 1);
	fill(other, sizeof(other), 2);
	fill(bytes, sizeof(bytes), 3);
	NEED_PUT(key, sizeof(key), bytes, sizeof(bytes));
}

SCENARIO(insert_leaks_nothing, "4-1 3.6-2", "20,000 calls of kvs_insert that keep nothing more leave the memory as it was")
{
	set_up();
	EXPECT(leaked(insert_and_delete) < NOISE, "4-1", "kvs_insert and kvs_delete of the same key");
	EXPECT(leaked(insert_again) < NOISE, "4-1", "kvs_insert of a key that is there");
	EXPECT(leaked(insert_bad_key) < NOISE, "4-1 3.6-2", "a key that cannot be read");
	EXPECT(leaked(insert_bad_value) < NOISE, "4-1 3.6-2", "a value that cannot be read");
	EXPECT(leaked(insert_no_value) < NOISE, "4-1 3.6-2", "a value at NULL");
	EXPECT(leaked(replace_by_bad_value) < NOISE, "4-1 3.6-2", "a new value that cannot be read");
	EXPECT(leaked(insert_empty_key) < NOISE, "4-1 3.6-2", "a key of no bytes");
	EXPECT(leaked(insert_long_value) < NOISE, "4-1 3.6-2", "a value that is too long");
}

SCENARIO(search_leaks_nothing, "4-1 3.6-2", "20,000 calls of kvs_search leave the memory as it was")
{
	set_up();
	EXPECT(leaked(search) < NOISE, "4-1", "a key that is there");
	EXPECT(leaked(search_missing) < NOISE, "4-1", "a key that is not there");
	EXPECT(leaked(search_bad_key) < NOISE, "4-1 3.6-2", "a key that cannot be read");
	EXPECT(leaked(search_bad_buffer) < NOISE, "4-1 3.6-2", "a buffer that cannot be written");
	EXPECT(leaked(search_small_buffer) < NOISE, "4-1 3.6-2", "a buffer that is too small");
}

SCENARIO(delete_leaks_nothing, "4-1 3.6-2", "20,000 calls of kvs_delete that remove nothing leave the memory as it was")
{
	set_up();
	EXPECT(leaked(delete_missing) < NOISE, "4-1", "a key that is not there");
	EXPECT(leaked(delete_bad_key) < NOISE, "4-1 3.6-2", "a key that cannot be read");
	EXPECT(leaked(delete_empty_key) < NOISE, "4-1 3.6-2", "a key of no bytes");
}
