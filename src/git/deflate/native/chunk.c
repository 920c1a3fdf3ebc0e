/*
 * libdeflate for chunks of the canonical encoding of blobs (protocol/SPEC.md, 3): a chunk is a sequence of deflate blocks of which
 * none is final, and ends with an empty stored block, so at a byte boundary and with 00 00 ff ff.
 *
 * libdeflate itself makes whole streams only. not-final.patch takes the bit from the last block; the rest is here. The
 * file is included, because what compresses is static.
 */
#include "deflate_compress.c"

/* Content of one call, and what it can become: blocks of 5,000 bytes or more that do not compress, and what ends the chunk. */
#define CAPACITY (256 * 1024)
#define ROOM (CAPACITY + CAPACITY / 5000 * 5 + 64)

static u8 input_buffer[CAPACITY];
static u8 output_buffer[ROOM];

/* The one compressor of an instance. Its struct is the only thing that libdeflate allocates. */
static u8 compressor_memory[sizeof(struct libdeflate_compressor) + 2 * MATCHFINDER_MEM_ALIGNMENT];
static struct libdeflate_compressor *compressor;

static void *give_memory(size_t size)
{
	return size <= sizeof(compressor_memory) ? compressor_memory : NULL;
}

static void take_memory(void *memory)
{
}

#define EXPORT(name) __attribute__((export_name(name)))

/* Where the content is to be put. */
EXPORT("input") u8 *chunk_input(void)
{
	return input_buffer;
}

/* Where the chunk lies after deflate(). */
EXPORT("output") u8 *chunk_output(void)
{
	return output_buffer;
}

EXPORT("capacity") u32 chunk_capacity(void)
{
	return CAPACITY;
}

/* Once, before all else. Level 1 to 9. */
EXPORT("start") bool chunk_start(int level)
{
	static const struct libdeflate_options options = {
		.sizeof_options = sizeof(options),
		.malloc_func = give_memory,
		.free_func = take_memory,
	};
	compressor = libdeflate_alloc_compressor_ex(level, &options);
	return compressor != NULL;
}

/* Deflates 1 to CAPACITY bytes. Gives the length of the chunk, 0 if there was no room for it, which cannot be. */
EXPORT("deflate") u32 chunk_deflate(u32 length)
{
	struct deflate_output_bitstream os = {
		.next = output_buffer,
		.end = output_buffer + ROOM - 16,
	};

	(*compressor->impl)(compressor, input_buffer, length, &os);
	if (os.overflow)
		return 0;
	/* Type and final bit of an empty stored block are three zeros. */
	for (int bits = os.bitcount + 3; bits > 0; bits -= 8) {
		*os.next++ = os.bitbuf;
		os.bitbuf >>= 8;
	}
	*os.next++ = 0x00;
	*os.next++ = 0x00;
	*os.next++ = 0xff;
	*os.next++ = 0xff;
	return os.next - output_buffer;
}

/* Adler-32 of the content of the last call. */
EXPORT("adler32") u32 chunk_adler32(u32 length)
{
	return libdeflate_adler32(1, input_buffer, length);
}
