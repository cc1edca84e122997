/* The least that a program does which says something. */
#include <stdio.h>

int main(void) {
    return puts("apyfal") < 0;
}
