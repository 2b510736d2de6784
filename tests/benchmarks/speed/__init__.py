"""How many Pix one vCPU scores, how fast each is answered, and what a million of them cost."""
