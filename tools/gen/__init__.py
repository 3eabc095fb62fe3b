"""Everything that is made from the protos: messages, stubs and the SDK's clients.

`python -m tools.gen` writes them. `--check` runs buf over the contract, and says whether what is committed
is what would be written; `lint` is the first half alone. `breaking --against IMAGE` compares the contract
with an older image.
"""
