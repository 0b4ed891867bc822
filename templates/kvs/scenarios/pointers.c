// SPDX-License-Identifier: GPL-2.0-only
/* Pointers that do not point to memory of the caller's. */
#include "nolibc.h"
#include "ktap.h"
#include "kvs.h"

#define LENGTH 64

/* Where 64 bytes cannot be read or written. A kernel address can, by a kernel that does not look whose it is. */
static const struct bad {
	const char *name, *requirement;
	unsigned long address;	/* 0: see place() */
	unsigned long mapped;
} places[] = {
	{ "NULL", "L7", 0, 0 },
	{ "a kernel address", "S1", 0xc0100000UL, 0 },
	{ "the last page", "S1", 0xfffff000UL, 0 },
	{ "an address that wraps around", "S1", 0xfffffff0UL, 0 },
	{ "unmapped memory", "L7", 1, 0 },
	{ "memory of which half is mapped", "L7", 1, LENGTH / 2 },
	{ "memory of which all but a byte is mapped", "L7", 1, LENGTH - 1 },
};
#define PLACES (sizeof(places) / sizeof(*places))

static char *place(const struct bad *bad)
{
	return bad->address == 1 ? edge() - bad->mapped : (char *)bad->address;
}

static char key[LENGTH], val[LENGTH];

/* The store as it is before and after each of the bad calls: one entry. */
static void set_up(void)
{
	fill(key, LENGTH, 1);
	fill(val, LENGTH, 2);
	NEED_INSERT(key, LENGTH, val, LENGTH);
	NEED_VALUE(key, LENGTH, val, LENGTH, "3.1-1", "what was inserted is found");
}

static void still_there(void)
{
	EXPECT_VALUE(key, LENGTH, val, LENGTH, "L7", "the entry after that");
}

SCENARIO(insert_with_a_bad_key, "L7 S1", "kvs_insert with a key that cannot be read fails, and changes nothing")
{
	unsigned int i;

	set_up();
	for (i = 0; i < PLACES; i++)
		EXPECT_FAILURE(kvs_insert(place(&places[i]), LENGTH, val, LENGTH), places[i].requirement, "a key at %s",
			       places[i].name);
	still_there();
}

SCENARIO(insert_with_a_bad_value, "L7 S1", "kvs_insert with a value that cannot be read fails, and keeps nothing")
{
	unsigned int i;

	set_up();
	for (i = 0; i < PLACES; i++) {
		EXPECT_FAILURE(kvs_insert("new", 3, place(&places[i]), LENGTH), places[i].requirement, "a value at %s",
			       places[i].name);
		EXPECT_NONE("new", 3, places[i].requirement, "a search for the key after it");
		kvs_delete("new", 3);
	}
	still_there();
}

SCENARIO(replace_with_a_bad_value, "L6", "A value that cannot be read leaves the old one or none, but not a broken one")
{
	unsigned int i;

	set_up();
	for (i = 0; i < PLACES; i++) {
		/* That it fails is what others demand. */
		kvs_insert(key, LENGTH, place(&places[i]), LENGTH);
		EXPECT(kvs_none(key, LENGTH) || kvs_is(key, LENGTH, val, LENGTH, LENGTH + 1),
		       places[i].requirement[0] == 'L' ? "L6" : "S1", "the entry after a value at %s", places[i].name);
		NEED_INSERT(key, LENGTH, val, LENGTH);
	}
}

SCENARIO(search_with_a_bad_key, "L7 S1", "kvs_search with a key that cannot be read fails")
{
	unsigned int i;

	set_up();
	for (i = 0; i < PLACES; i++)
		EXPECT_FAILURE(kvs_search(place(&places[i]), LENGTH, kvs_buffer, 4096), places[i].requirement,
			       "a key at %s", places[i].name);
	still_there();
}

SCENARIO(search_into_a_bad_buffer, "L7 S1", "kvs_search into memory that cannot be written fails, and the entry stays")
{
	char *readonly = memory(PAGE_SIZE);
	unsigned int i;

	set_up();
	for (i = 0; i < PLACES; i++)
		EXPECT_FAILURE(kvs_search(key, LENGTH, place(&places[i]), LENGTH), places[i].requirement,
			       "a buffer at %s", places[i].name);
	sys3(NR_mprotect, readonly, PAGE_SIZE, PROT_READ);
	EXPECT_FAILURE(kvs_search(key, LENGTH, readonly, LENGTH), "S1", "a buffer that is read-only");
	still_there();
}

SCENARIO(delete_with_a_bad_key, "L7 S1", "kvs_delete with a key that cannot be read fails, and removes nothing")
{
	unsigned int i;

	set_up();
	for (i = 0; i < PLACES; i++)
		EXPECT_FAILURE(kvs_delete(place(&places[i]), LENGTH), places[i].requirement, "a key at %s",
			       places[i].name);
	still_there();
}

SCENARIO(half_a_key_is_no_key, "L7", "Where the second half of a key cannot be read, the first half is no key either")
{
	char *half = edge() - LENGTH / 2;

	set_up();
	NEED_INSERT(key, LENGTH / 2, "half", 4);
	NEED_VALUE(key, LENGTH / 2, "half", 4, "L2", "the half has its own value");
	NEED_VALUE(key, LENGTH, val, LENGTH, "L2", "and the whole");
	memcpy(half, key, LENGTH / 2);
	EXPECT_FAILURE(kvs_search(half, LENGTH, kvs_buffer, 4096), "L7", "kvs_search");
	EXPECT_FAILURE(kvs_delete(half, LENGTH), "L7", "kvs_delete");
	EXPECT_FAILURE(kvs_insert(half, LENGTH, "new", 3), "L7", "kvs_insert");
	EXPECT_VALUE(key, LENGTH / 2, "half", 4, "L7", "the value of the first half");
	still_there();
}
