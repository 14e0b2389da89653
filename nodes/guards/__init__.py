"""Guards of other people's texts: what of them a reasoner may read, and a draft may repeat."""
