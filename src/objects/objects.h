/*
 * objects.h - types, functions, operators and the like that all nodes hold as
 * this server does: brought to them when they are made, and kept equal.
 */
#ifndef TESS_OBJECTS_H
#define TESS_OBJECTS_H

#include "catalog/objectaddress.h"
#include "nodes/parsenodes.h"

#include "net/net.h"
#include "tessera.h"

/* changes.c ------------------------------------------------------------------ */

/* Around a utility statement: before it, what it may rename is looked up (the
 * result is for the other call); after it, what it did is done on the nodes.
 * Errors of nodes about objects that they hold are errors. */
extern void *tess_objects_before(Node *statement);
extern void tess_objects_after(Node *statement, void *before);

/* True if all nodes hold an object, and get what is changed of it. */
extern bool tess_objects_hold(Oid class, Oid object_id);

/* alter_type.c: the type that ALTER TYPE or ALTER DOMAIN (but for its owner) is
 * about; InvalidOid: no such statement, or no such type. */
extern Oid tess_object_changed_type(Node *statement);
/* Plans that name types in texts for nodes are made again. */
extern void tess_objects_forget_plans(void);

/* While it is not 0, what happens to objects is not done on nodes: who counts
 * it up does that himself. */
extern int tess_objects_suspended;

/* bring.c -------------------------------------------------------------------- */

/* Notes what a table of ours needs, and brings it to nodes that have none of
 * its shards, too. */
extern void tess_objects_bring_for_table(Oid relation);

/* Brings an object to all nodes, with what it needs; one that they hold is
 * replaced.  Errors if a node cannot. */
extern void tess_objects_bring(const ObjectAddress *address);

/* The same for what an object needs, without itself. */
extern void tess_objects_bring_needs(const ObjectAddress *address);

/* Brings to a new node, which has its row, what all others hold.  Then to all
 * nodes what none has got yet because there was none. */
extern void tess_objects_copy(int32 node_id);

/* What a node has in another form than it is said to hold, or has not: texts
 * for people.  Rights of schemas are not compared. */
extern List *tess_objects_differing(TessSession *session);

/* Nobody is said to hold anything. */
extern void tess_objects_forget(void);

extern void tess_objects_init(void);

#endif
