/* status.c - formats the one line that a failure leaves behind.
 *
 * Invariants: message is NUL-terminated, holds no control bytes (a hostile file name or tensor name must not move
 * the cursor of a terminal), and does not end inside a UTF-8 sequence.
 * Leaves out: printing; src/cmd adds the program's name and the newline. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "status.h"
#include "utf8.h"

enum status diag_fail(struct diag *diag, enum status status, const char *format, ...)
{
    va_list list;

    if (!diag)
        return status;
    diag->status = status;
    va_start(list, format);
    if (vsnprintf(diag->message, sizeof diag->message, format, list) < 0)
        diag->message[0] = 0;
    va_end(list);
    for (char *p = diag->message; *p; p++)
        if ((unsigned char)*p < 32 || *p == 127)
            *p = '?';
    diag->message[utf8_whole_prefix(diag->message, strlen(diag->message))] = 0;
    return status;
}
