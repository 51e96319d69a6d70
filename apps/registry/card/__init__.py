"""A version's card: what the owner wrote, with the figures filled in, and what is known besides."""
