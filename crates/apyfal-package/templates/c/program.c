/* Changes the case of the letters of standard input. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    static unsigned char block[1 << 20];
    int lower = argc > 1 && strcmp(argv[1], "lower") == 0;
    size_t count;

    while ((count = fread(block, 1, sizeof block, stdin)) > 0) {
        for (size_t i = 0; i < count; i++)
            block[i] = (unsigned char)(lower ? tolower(block[i]) : toupper(block[i]));
        if (fwrite(block, 1, count, stdout) != count)
            return 1;
    }
    /* A status other than 0 fails the job, with what is on standard error. */
    return ferror(stdin) || fflush(stdout) != 0;
}
