/* Memory of large results; see pages.c. */
#ifndef DENSEUP_PAGES_H
#define DENSEUP_PAGES_H

/* Ask for huge pages where memory that is about to be written whole has no pages yet. */
void denseup_ask_for_huge_pages(void *at, long bytes);

#endif
