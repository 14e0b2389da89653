"""`patlm bench ...`: measure quality and speed."""
