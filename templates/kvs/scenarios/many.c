// SPDX-License-Identifier: GPL-2.0-only
/* Many entries: that there can be so many, how long they take, and what they leave behind. */
#include "nolibc.h"
#include "ktap.h"
#include "kvs.h"

#define MANY 10000
#define SECONDS 60
#define WAITS 50	/* times 100 ms, for memory that the kernel frees late */

static char key[64], val[256];

/* How many of the entries from 0 on something does not go well for. */
static unsigned int each(unsigned int count, unsigned int keylen, unsigned int vallen, unsigned int seed,
			 int (*done)(unsigned int keylen, unsigned int vallen))
{
	unsigned int i, wrong = 0;

	for (i = 0; i < count; i++) {
		/* Neither in order nor the other way round. */
		fill(key, keylen, i * 0x9e3779b1U);
		fill(val, vallen, i + seed);
		wrong += !done(keylen, vallen);
	}
	return wrong;
}

static int inserted(unsigned int keylen, unsigned int vallen) { return !kvs_insert(key, keylen, val, vallen); }
static int found(unsigned int keylen, unsigned int vallen) { return kvs_is(key, keylen, val, vallen, vallen + 1); }
static int deleted(unsigned int keylen, unsigned int vallen) { return vallen && !kvs_delete(key, keylen); }
static int gone(unsigned int keylen, unsigned int vallen) { return vallen && !kvs_find(key, keylen); }

/* By how many KiB the kernel's memory has grown since `before`, once what it frees late had time to go. */
static long grown(const char *what, long before, long enough)
{
	long growth, waits = WAITS;

	while ((growth = meminfo(what) - before) > enough && waits--)
		pause_ms(100);
	return growth;
}

SCENARIO(ten_thousand_entries, "L9 3.5-2", "10,000 entries are found, replaced and deleted, in seconds and not minutes")
{
	long start = sys1(NR_time, 0), took;

	NEED_WORD("key", "value");
	NEED_EQ(each(MANY, 16, 64, 0, inserted), 0, "3.5-2 L9", "of 10,000 entries, those that cannot be inserted");
	EXPECT_EQ(each(MANY, 16, 64, 0, found), 0, "L9", "those that are not found");
	EXPECT_EQ(each(MANY, 16, 80, 1, inserted), 0, "L9", "those that cannot be replaced");
	EXPECT_EQ(each(MANY, 16, 80, 1, found), 0, "L9", "those that are not found then");
	EXPECT_EQ(each(MANY, 16, 80, 1, deleted), 0, "L9", "those that cannot be deleted");
	EXPECT_EQ(each(MANY, 16, 80, 1, gone), 0, "L9", "those that are found after that");
	EXPECT_WORD("key", "value", "L9", "the entry that was there before");
	took = sys1(NR_time, 0) - start;
	if (took >= SECONDS)
		NOTE("it took %d s", (int)took);
	EXPECT(took < SECONDS, "L9", "it takes less than %d s", SECONDS);
}

SCENARIO(memory_is_back, "L9 4-1", "After 2,000 entries were deleted the memory is back, within a few pages")
{
	unsigned int round, wrong = 0;
	long before = 0;

	NEED_WORD("key", "value");
	for (round = 0; round < 4; round++) {
		/* What a first round leaves in the allocator's pools is not lost. */
		if (round == 1)
			before = meminfo("SUnreclaim:");
		wrong += each(2000, 60, 250, 0, inserted);
		wrong += each(2000, 60, 200, 0, inserted);
		wrong += each(2000, 60, 200, 0, deleted);
	}
	NEED_EQ(wrong, 0, "3.1-2", "calls that did not return 0");
	/* A round has half a megabyte of values, and again as much of replaced ones. */
	EXPECT(grown("SUnreclaim:", before, 200) <= 200, "L9 4-1", "slab memory after three rounds: at most 200 KiB more");
}

SCENARIO(memory_of_replaced_values_is_back, "4-1", "A value that is replaced a thousand times takes the memory of one")
{
	unsigned int i, wrong = 0;
	long before = 0;

	NEED_WORD("key", "value");
	for (i = 0; i < 12000; i++) {
		if (i == 2000)
			before = meminfo("SUnreclaim:");
		fill(val, sizeof(val), i);
		wrong += kvs_insert("key", 3, val, i % 2 ? 200 : 250) != 0;
	}
	NEED_EQ(wrong, 0, "3.1-2", "calls that did not return 0");
	EXPECT(grown("SUnreclaim:", before, 200) <= 200, "4-1", "slab memory after 10,000 times: at most 200 KiB more");
}

SCENARIO(long_values_come_and_go, "4-1 3.6-2", "Values of 1 MiB, more than fit together, are inserted and deleted or replaced")
{
	char *bytes = memory(1 << 20);
	unsigned int i, lost = 0, kept = 0;

	fill(bytes, 1 << 20, 1);
	NEED_WORD("key", "value");
	for (i = 0; i < 300; i++)
		lost += kvs_insert("long", 4, bytes, 1 << 20) != 0 || kvs_delete("long", 4) != 0;
	EXPECT_EQ(lost, 0, "4-1 3.6-2", "of 300 that are inserted and deleted, those that cannot be");
	for (i = 0; i < 300; i++)
		kept += kvs_insert("long", 4, bytes, (1 << 20) - i) == 0;
	EXPECT_EQ(kept, 300, "4-1 3.6-2", "of 300 in one another's place, those that can be inserted");
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

SCENARIO(entries_until_memory_is_nearly_used_up, "3.5-2", "Entries of 64 KiB can be added until three quarters of the memory are used")
{
	char *bytes = memory(65536);
	unsigned int i, wrong = 0, count;

	fill(bytes, 65536, 1);
	NEED_WORD("key", "value");
	count = (unsigned int)(meminfo("MemFree:") / 64 * 3 / 4);
	for (i = 0; i < count; i++) {
		memcpy(bytes, &i, sizeof(i));
		if (kvs_insert(&i, sizeof(i), bytes, 65536 - 64))
			break;
	}
	EXPECT_EQ(i, count, "3.5-2", "of so many entries, those that could be added");
	for (i = 0; i < count; i++) {
		memcpy(bytes, &i, sizeof(i));
		wrong += !kvs_is(&i, sizeof(i), bytes, 65536 - 64, 65536);
	}
	EXPECT_EQ(wrong, 0, "3.5-2", "entries that are not found whole");
	EXPECT_WORD("key", "value", "3.5-2", "the entry that was there before");
}
