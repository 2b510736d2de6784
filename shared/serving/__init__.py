"""What the functions do with a delivery, from body to acknowledgement, without HTTP."""
