"""The loop of decisions, closed: outcomes, reviews, complaints and reports as the decisions on their Pix leave them.

An event file, or the simulator, tells the fate of each Pix as if nothing stood in its way. Here a decision may: a
Pix that is stopped does not settle, and nobody reports it as fraud.
"""
