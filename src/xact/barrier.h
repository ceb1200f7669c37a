/*
 * barrier.h - keeps commits of several servers and the taking of snapshots
 * over several servers apart.
 */
#ifndef TESS_BARRIER_H
#define TESS_BARRIER_H

#include "tessera.h"
#include "xact/xact.h"

/*
 * Before a decision that several servers will carry out: from here to the end
 * of the transaction no snapshot is being taken.  May wait, and may be
 * cancelled, so it is the last act that may fail; goes with the transaction's
 * locks.
 */
extern void tess_barrier_enter_commit(void);

/*
 * While a window is open, no commit of several servers is between its parts:
 * what is then taken on each server is one snapshot.  Not nested.  An error
 * closes it with the (sub)transaction.  Opening may wait, and be cancelled.
 */
extern void tess_barrier_open_window(void);
extern void tess_barrier_close_window(void);
extern bool tess_barrier_has_window(void);

/* At the abort of the (sub)transaction at this nesting level. */
extern void tess_barrier_abort(int level);

extern void tess_barrier_init(void);

#endif
