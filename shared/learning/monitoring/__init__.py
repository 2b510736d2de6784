"""How the system is doing, day by day: traffic, performance before labels and as they mature, in `pix.health`."""
