"""Documents for a person (LGPD art. 20) and for the supervisor: HTML in Portuguese, one file each, no script."""
