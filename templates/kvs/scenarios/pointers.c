// SPDX-License-Identifier: GPL-2.0-only
/* Pointers that do not point to memory of the caller's. */
#include "nolibc.h"
#include "ktap.h"
#include "kvs.h"

#define LENGTH 64

/* Places from which 64 bytes cannot be read; what a pointer is called is in `names`. */
static const char *const names[] = { "NULL", "a kernel address", "the last page", "a wrap-around", "unmapped memory",
				     "memory of which half is mapped" };
#define PLACES 6

static char *place(unsigned int number)
{
	switch (number) {
	case 0:
		return (char *)0;
	case 1:
		return (char *)KERNEL_ADDRESS;
	case 2:
		return (char *)0xfffff000UL;
	case 3:
		return (char *)0xfffffff0UL;
	case 4:
		return edge();
	default:
		return edge() - LENGTH / 2;
	}
}

static char key[LENGTH], val[LENGTH];

/* The store as it is before and after each of the bad calls: one entry. */
static void set_up(void)
{
	fill(key, LENGTH, 1);
	fill(val, LENGTH, 2);
	NEED_PUT(key, LENGTH, val, LENGTH);
	NEED_VALUE(key, LENGTH, val, LENGTH, "3.2-2", "kvs_search finds it");
}

static void still_there(const char *after)
{
	EXPECT_VALUE(key, LENGTH, val, LENGTH, "L7", "the entry is still there after %s", after);
}

SCENARIO(insert_with_a_bad_key, "L7 S1 3.1-2", "kvs_insert with a key that cannot be read fails, and changes nothing")
{
	unsigned int i;

	set_up();
	for (i = 0; i < PLACES; i++)
		EXPECT_FAILURE(kvs_insert(place(i), LENGTH, val, LENGTH), "L7 S1", "a key at %s", names[i]);
	still_there("that");
}

SCENARIO(insert_with_a_bad_value, "L7 S1 3.1-2", "kvs_insert with a value that cannot be read fails, and keeps nothing")
{
	unsigned int i;

	set_up();
	for (i = 0; i < PLACES; i++) {
		EXPECT_FAILURE(kvs_insert("new", 3, place(i), LENGTH), "L7 S1", "a value at %s", names[i]);
		EXPECT_NONE("new", 3, "L7", "a search for the key after it");
	}
	still_there("that");
}

SCENARIO(replace_with_a_bad_value, "L6", "A value that cannot be read leaves the old one or none, but not a broken one")
{
	unsigned int i;
	long ret;

	set_up();
	for (i = 0; i < PLACES; i++) {
		EXPECT_FAILURE(kvs_insert(key, LENGTH, place(i), LENGTH), "L6", "a value at %s", names[i]);
		ret = kvs_find(key, LENGTH);
		EXPECT(ret == 0 || (ret == 1 && ktap_same_bytes(kvs_buffer, val, LENGTH)), "L6", "the entry after it");
		NEED_RET(kvs_insert(key, LENGTH, val, LENGTH), 0, "3.1-2", "kvs_insert of the old value");
	}
	still_there("that");
}

SCENARIO(search_with_a_bad_key, "L7 S1 3.2-2", "kvs_search with a key that cannot be read fails")
{
	unsigned int i;

	set_up();
	for (i = 0; i < PLACES; i++)
		EXPECT_FAILURE(kvs_search(place(i), LENGTH, kvs_buffer, 4096), "L7 S1", "a key at %s", names[i]);
	still_there("that");
}

SCENARIO(search_into_a_bad_buffer, "L7 S1 3.2-2", "kvs_search into memory that cannot be written fails, and the entry stays")
{
	char *readonly = memory(PAGE_SIZE);
	unsigned int i;

	set_up();
	for (i = 0; i < PLACES; i++)
		EXPECT_FAILURE(kvs_search(key, LENGTH, place(i), LENGTH), "L7 S1", "a buffer at %s", names[i]);
	sys3(NR_mprotect, readonly, PAGE_SIZE, PROT_READ);
	EXPECT_FAILURE(kvs_search(key, LENGTH, readonly, LENGTH), "L7 S1", "a buffer that is read-only");
	still_there("that");
}

SCENARIO(delete_with_a_bad_key, "L7 S1 3.3-2", "kvs_delete with a key that cannot be read fails, and removes nothing")
{
	unsigned int i;

	set_up();
	for (i = 0; i < PLACES; i++)
		EXPECT_FAILURE(kvs_delete(place(i), LENGTH), "L7 S1", "a key at %s", names[i]);
	still_there("that");
}

SCENARIO(half_a_key_is_no_key, "L7", "Where the second half of a key cannot be read, the first half is no key either")
{
	char *half = edge() - LENGTH / 2;

	set_up();
	memcpy(half, key, LENGTH / 2);
	NEED_RET(kvs_insert(key, LENGTH / 2, "half", 4), 0, "3.1-2", "kvs_insert of the first half");
	EXPECT_FAILURE(kvs_search(half, LENGTH, kvs_buffer, 4096), "L7", "kvs_search");
	EXPECT_FAILURE(kvs_delete(half, LENGTH), "L7", "kvs_delete");
	EXPECT_FAILURE(kvs_insert(half, LENGTH, "new", 3), "L7", "kvs_insert");
	EXPECT_VALUE(key, LENGTH / 2, "half", 4, "L7", "the value of the first half");
	still_there("that");
}
