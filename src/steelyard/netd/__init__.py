"""`steelyard-netd`: the only process with privilege. It makes the kernel have a plan: layer-4 services and the network.

It needs no other process to keep that so. The control plane hands it plans, the checking process verdicts.
"""
