/*
 * objects_internal.h - between the files of objects/.
 */
#ifndef TESS_OBJECTS_INTERNAL_H
#define TESS_OBJECTS_INTERNAL_H

#include "catalog/objectaddress.h"
#include "nodes/pg_list.h"

#include "deparse/deparse.h"
#include "objects/objects.h"

/* changes.c: the setting */
extern bool tess_objects_propagate;

/* bring.c */

/* Keeps other writers of the catalog away, and nodes that would not get what
 * is brought now.  Until commit. */
extern void tess_objects_lock(void);

/* Runs commands on all other servers, in this transaction. */
extern void tess_objects_send(List *commands);

/* The same, but false and a NOTICE if a node cannot. */
extern bool tess_objects_try(const ObjectAddress *address);

/* alter_type.c */

/* A type that nodes hold, before it is altered in a way that is repeated there;
 * NULL: no such statement. */
typedef struct TessTypeChange TessTypeChange;
extern TessTypeChange *tess_type_change_begin(Node *statement);
/* Repeats it.  The type. */
extern ObjectAddress tess_type_change_repeat(TessTypeChange *change);
/* The type that loses an object that is being dropped; *lost: what takes it from a
 * node's.  InvalidOid: none. */
extern Oid tess_type_losing(Oid class, Oid object, int part, char **lost);

/* eligible.c */

/* True for an object that may ever be useful on a node by itself. */
extern bool tess_object_is_eligible(const ObjectAddress *address);

/* All of them: list of ObjectAddress *. */
extern List *tess_objects_eligible(void);

#endif
