/* chat_family.h - the known families of chat templates (private to src/model). */
#ifndef ARKLET_CHAT_FAMILY_H
#define ARKLET_CHAT_FAMILY_H

struct chat_family {
    const char *name;
    const char *markers[3]; /* all occur in templates of the family; {NULL}: found by name alone */
    const char *text;       /* the family's template, for --chat-template; NULL: recognised only */
};

/* In the order of recognition; the last one's name is NULL. */
extern const struct chat_family chat_families[];

#endif
