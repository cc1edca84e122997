/* A bare loop over RDSEED: so many bytes into a file. */
#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **words) {
    static unsigned long long block[8192];
    if (count != 3)
        return 2;
    long long left = atoll(words[1]);
    FILE *file = fopen(words[2], "wb");
    if (!file)
        return 1;
    while (left > 0) {
        size_t bytes = left < (long long)sizeof block ? (size_t)left : sizeof block;
        for (size_t word = 0; word * sizeof *block < bytes; word++)
            while (!_rdseed64_step(&block[word]))
                _mm_pause();
        if (fwrite(block, 1, bytes, file) != bytes)
            return 1;
        left -= (long long)bytes;
    }
    return fclose(file) != 0;
}
