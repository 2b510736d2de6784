"""A replay whose records are in partitions that work side by side, exact to the last bit.

The reads and writes of an event, by `shared.features.layout` and `shared.features.facts`:

===========  ============================================  =====================================================
fact         reads                                         adds to
===========  ============================================  =====================================================
ask          the records of all its roles                  attempts and sums of limits: payer, payee, device,
                                                           customer; weights of the message alone
settlement   EXTRAS, which follow from the reads of its    payer, payee, their contact, device, and the contact
             ask: from those of the payer, and of the      of payer and device
             contacts with payee and device
return,      EXTRAS of its settlement                      the same records, by the share that is returned
outcome
report       nothing                                       payer, payee and device, or a holder of a marker
===========  ============================================  =====================================================

So a record needs its own facts in their order, and of another record no more than EXTRAS. Contacts are kept with
their payer, so that EXTRAS are computed in one partition. They leave it for the payee (`new_payee`, `taint_*`) and
for the device (`new_device`). Contacts take no EXTRAS, so a first round counts contacts alone, and `new_*` are final
after it. `passed_*` stay with the payer. The rest is taint, which an account reads and hands on: the one chain
through time and accounts. It is solved in rounds within a time slice, from the presumption that no other partition
hands on any taint: each round counts again the records that were handed another value than before, from their
beginning in the slice, until nobody is.

The rounds end, and their end is exact. A fact depends on earlier facts only. By induction over the events of a
slice in their order: after round r, each value is final that depends on at most r changes of partition, as all that
it was computed from is. When no value changes, all were computed from final ones, in the order and by the compiled
step of a replay in one process. So the rounds are at most the longest chain of Pix from partition to partition
within a slice whose taint is not zero, and two.

Stored rows with outcomes hold the EXTRAS of each settlement in their own columns, so these need no further round. In
a file of events an outcome may come at any time: one of a Pix of the same slice takes EXTRAS within the slice, as
above, and for those of later slices the source learns the EXTRAS of a slice at its end. The lines are read, refused
and told apart by one process, in their order.

A store of several shards has an order of changes on each. The orders follow each other hour by hour, as in one
process, so a Pix comes once for each shard that counted a part of it, and each part reads and adds to the records of
its shard alone. A row is written with its last part; until then the reads of the others stay in files. A Pix without
all the parts that its row names has no row.
"""
