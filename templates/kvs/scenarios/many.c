// SPDX-License-Identifier: GPL-2.0-only
/* Many entries: that there can be so many, how long they take, and what they leave behind. */
#include "nolibc.h"
#include "ktap.h"
#include "kvs.h"

#define NR_time 13
#define MANY 10000
#define SECONDS 60

static char key[64], val[256];
static long deadline; /* 0 for none */

static int late(void)
{
	return deadline && sys1(NR_time, 0) >= deadline;
}

/* How many of the entries from 0 on something does not go well for, as far as there is time. */
static unsigned int each(unsigned int count, unsigned int keylen, unsigned int vallen, unsigned int seed,
			 int (*well)(unsigned int keylen, unsigned int vallen))
{
	unsigned int i, wrong = 0;

	for (i = 0; i < count && (i % 64 || !late()); i++) {
		/* Neither in order nor the other way round. */
		fill(key, keylen, i * 0x9e3779b1U);
		fill(val, vallen, i + seed);
		wrong += !well(keylen, vallen);
	}
	return wrong;
}

static int inserted(unsigned int keylen, unsigned int vallen) { return kvs_insert(key, keylen, val, vallen) >= 0; }
static int found(unsigned int keylen, unsigned int vallen) { return kvs_is(key, keylen, val, vallen, vallen + 1); }
static int deleted(unsigned int keylen, unsigned int vallen UNUSED) { return kvs_delete(key, keylen) >= 0; }
static int gone(unsigned int keylen, unsigned int vallen UNUSED) { return kvs_none(key, keylen); }

SCENARIO(ten_thousand_entries, "L9", "10,000 entries are found, replaced and deleted, in seconds and not minutes")
{
	need_basics();
	NEED_WORD("key", "value");
	deadline = sys1(NR_time, 0) + SECONDS;
	NEED_EQ(each(MANY, 16, 64, 0, inserted), 0, "3.5-2", "of 10,000 entries, those that cannot be inserted");
	EXPECT_EQ(each(MANY, 16, 64, 0, found), 0, "L9", "those that are not found");
	EXPECT_EQ(each(MANY, 16, 80, 1, inserted), 0, "L9", "those that cannot be replaced");
	EXPECT_EQ(each(MANY, 16, 80, 1, found), 0, "L9", "those that are not found then");
	EXPECT_EQ(each(MANY, 16, 80, 1, deleted), 0, "L9", "those that cannot be deleted");
	EXPECT_EQ(each(MANY, 16, 80, 1, gone), 0, "L9", "those that are found after that");
	EXPECT_WORD("key", "value", "L9", "the entry that was there before");
	EXPECT(!late(), "L9", "it takes less than %d s", SECONDS);
}

SCENARIO(memory_of_deleted_entries_is_back, "L9",
	  "After 2,000 entries were deleted the memory is back, within a few pages")
{
	unsigned int round, failed = 0;
	long before = 0;

	need_basics();
	for (round = 0; round < 4; round++) {
		/* What a first round leaves in the allocator's pools is not lost. */
		if (round == 1)
			before = meminfo("SUnreclaim:");
		failed += each(2000, 60, 250, 0, inserted);
		failed += each(2000, 60, 250, 0, deleted);
	}
	NEED_EQ(failed, 0, "3.5-2", "calls that fail");
	/* A round has half a megabyte of values alone. */
	EXPECT(grown("SUnreclaim:", before, 200) <= 200, "L9", "slab memory after three rounds more");
}

SCENARIO(memory_of_replaced_values_is_back, "4-1", "A value that is replaced a thousand times takes the memory of one")
{
	unsigned int i, failed = 0;
	long before = 0;

	need_basics();
	for (i = 0; i < 12000; i++) {
		if (i == 2000)
			before = meminfo("SUnreclaim:");
		fill(val, sizeof(val), i);
		failed += kvs_insert("key", 3, val, i % 2 ? 200 : 250) < 0;
	}
	NEED_EQ(failed, 0, "3.1-2", "insertions that fail");
	EXPECT(grown("SUnreclaim:", before, 200) <= 200, "4-1", "slab memory after 10,000 times more");
}

SCENARIO(long_values_come_and_go, "L9 4-1",
	  "Values of 1 MiB, more than fit together, are inserted and deleted or replaced")
{
	char *bytes = memory(1 << 20);
	unsigned int i, failed = 0;

	need_basics();
	fill(bytes, 1 << 20, 1);
	NEED(kvs_done(kvs_insert("long", 4, bytes, 1 << 20)), "3.5-1", "kvs_insert of one such value");
	for (i = 0; i < 300; i++)
		failed += kvs_insert("long", 4, bytes, 1 << 20) < 0 || kvs_delete("long", 4) < 0;
	NEED_EQ(failed, 0, "L9", "of 300 that are inserted and deleted, those that cannot be");
	for (i = 0; i < 300; i++)
		failed += kvs_insert("long", 4, bytes, (1 << 20) - i) < 0;
	EXPECT_EQ(failed, 0, "4-1", "of 300 in one another's place, those that cannot be inserted");
}

SCENARIO(small_entries_take_little, "3.5-2", "An entry of a few bytes takes at most 512 bytes of memory")
{
	long before;

	NEED_WORD("key", "value");
	before = meminfo("MemFree:");
	NEED_EQ(each(4000, 8, 8, 0, inserted), 0, "3.5-2", "of 4,000 entries, those that cannot be inserted");
	before -= meminfo("MemFree:");
	if (before > 2000)
		NOTE("4,000 entries take %d KiB", (int)before);
	EXPECT(before <= 2000, "3.5-2", "4,000 entries take at most 2,000 KiB");
}

SCENARIO(entries_until_memory_is_nearly_used_up, "3.5-2",
	  "Entries of 64 KiB can be added until three quarters of the memory are used")
{
	char *bytes = memory(65536);
	unsigned int i, wrong = 0, count;

	NEED_WORD("key", "value");
	fill(bytes, 65536, 1);
	NEED(kvs_done(kvs_insert(bytes, 8, bytes, 65536 - 64)), "3.5-1", "kvs_insert of one such value");
	count = (unsigned int)(meminfo("MemFree:") / 64 * 3 / 4);
	for (i = 0; i < count; i++) {
		fill(bytes, 8, i);
		if (kvs_insert(bytes, 8, bytes, 65536 - 64) < 0)
			break;
	}
	NEED_EQ(i, count, "3.5-2", "of so many entries, those that could be added");
	for (i = 0; i < count; i++) {
		fill(bytes, 8, i);
		wrong += !kvs_is(bytes, 8, bytes, 65536 - 64, 65536);
	}
	EXPECT_EQ(wrong, 0, "3.5-2", "entries that are not found whole");
	EXPECT_WORD("key", "value", "3.5-2", "the entry that was there before");
}
