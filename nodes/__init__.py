"""The steps of the loop, one file each; what they are handed is in `parts`, their words in `state`.

Nothing is imported here: name the module (`patlm.nodes.state`), or take the public names from
`patlm.graph`.
"""
