/* The greatest common divisor. */
#ifndef ZPROXY_BASE_GCD_H
#define ZPROXY_BASE_GCD_H

/* Of 0 and b it is b. */
static inline unsigned gcd(unsigned a, unsigned b)
{
    while (b != 0) {
        unsigned rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

#endif
