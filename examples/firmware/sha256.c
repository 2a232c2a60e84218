#include "sha256.h"

/* FIPS 180-4, 4.2.2. */
static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turned(uint32_t word, unsigned by)
{
    return word >> by | word << (32 - by);
}

static void compress(struct sha256 *hash)
{
    uint32_t words[16], now[8];
    for (unsigned at = 0; at < 16; at++)
        words[at] = (uint32_t)hash->block[4 * at] << 24 | (uint32_t)hash->block[4 * at + 1] << 16 |
                    (uint32_t)hash->block[4 * at + 2] << 8 | hash->block[4 * at + 3];
    for (unsigned at = 0; at < 8; at++)
        now[at] = hash->state[at];
    for (unsigned round = 0; round < 64; round++) {
        uint32_t *word = &words[round % 16];
        if (round >= 16) {
            const uint32_t early = words[(round + 1) % 16], late = words[(round + 14) % 16];
            *word += (turned(early, 7) ^ turned(early, 18) ^ early >> 3) + words[(round + 9) % 16] +
                     (turned(late, 17) ^ turned(late, 19) ^ late >> 10);
        }
        const uint32_t first = now[7] + (turned(now[4], 6) ^ turned(now[4], 11) ^ turned(now[4], 25)) +
                               ((now[4] & now[5]) ^ (~now[4] & now[6])) + constants[round] + *word;
        const uint32_t second = (turned(now[0], 2) ^ turned(now[0], 13) ^ turned(now[0], 22)) +
                                ((now[0] & now[1]) ^ (now[0] & now[2]) ^ (now[1] & now[2]));
        for (unsigned at = 7; at > 0; at--)
            now[at] = now[at - 1];
        now[4] += first;
        now[0] = first + second;
    }
    for (unsigned at = 0; at < 8; at++)
        hash->state[at] += now[at];
}

void sha256_start(struct sha256 *hash)
{
    /* FIPS 180-4, 5.3.3. */
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    for (unsigned at = 0; at < 8; at++)
        hash->state[at] = initial[at];
    hash->length = 0;
}

void sha256_add(struct sha256 *hash, const uint8_t *bytes, size_t length)
{
    for (; length > 0; length--) {
        hash->block[hash->length++ % 64] = *bytes++;
        if (hash->length % 64 == 0)
            compress(hash);
    }
}

void sha256_end(struct sha256 *hash, uint8_t digest[32])
{
    const uint64_t bits = hash->length * 8;
    uint8_t byte = 0x80;
    do {
        sha256_add(hash, &byte, 1);
        byte = 0;
    } while (hash->length % 64 != 56);
    for (unsigned at = 0; at < 8; at++) {
        byte = (uint8_t)(bits >> (56 - 8 * at));
        sha256_add(hash, &byte, 1);
    }
    for (unsigned at = 0; at < 32; at++)
        digest[at] = (uint8_t)(hash->state[at / 4] >> (24 - 8 * (at % 4)));
}
