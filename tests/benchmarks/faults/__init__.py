"""Everything that can fail does while Pix are scored; then queries say whether anything was lost or changed."""
