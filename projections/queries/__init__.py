"""What the read models answer: one file per subject, plain structs in the shapes of the public contract."""
