/* With -DLIBRARY the library of a list, else a program that gives it a bad pointer.
 * Neither needs a C library, so that the loader of another system takes them. */
struct node { struct node *next; };
int count_nodes(struct node *first);

#ifdef LIBRARY
int count_nodes(struct node *first) {
    int count = 0;
    for (; first; first = first->next) count++;
    return count;
}
#else
void _start(void) {
    int count = count_nodes((struct node *)0x10);
    __asm__ volatile("syscall" : : "a"(60), "D"(count));
}
#endif
